"""Models by name, and the user's own models by ``target``."""

from collections.abc import Mapping
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.registry import Registry, call_target, import_target
from mlffm_segdiff.config.section import Depth
from mlffm_segdiff.models import baselines

if TYPE_CHECKING:
    from torch import nn

MODELS: Registry[type[ModelConfig]] = Registry(
    "model",
    group="mlffm_segdiff.models",
    modules=(
        "mlffm_segdiff.models.mlffm_segdiff",
        *(f"{baselines.__name__}.{module.name}" for module in iter_modules(baselines.__path__)),
    ),
    base=ModelConfig,
)
"""The section of each model. Every module of ``baselines`` is imported, so a new file there is enough."""

register_model = MODELS.register


class TargetModelConfig(ModelConfig):
    """The section of a network that is not registered: any ``nn.Module``, as a direct network.

    It must map an image (B3HW in [-1, 1]) to a logit (B1HW).

    Attributes:
        target: Its class, or a function that builds it, as ``package.module.Name``.
        args: Keyword arguments.
        stride: What H and W must be multiples of, unless the network has a ``total_stride``.
    """

    citation = "the user's own"

    name: str = "target"
    target: str
    args: dict[str, Any] = Field(default={})
    stride: Depth = 1

    def build(self, mask_channels: int) -> "nn.Module":
        """Build the network with fresh weights. Raises UserError if it cannot be imported or built."""
        from torch import nn

        network = call_target(import_target(self.target, "model.target"), self.args, "model.args")
        if not isinstance(network, nn.Module):
            raise UserError(
                f"model.target={self.target} does not build a torch.nn.Module; name a class that is one"
            )
        if not hasattr(network, "total_stride"):
            network.total_stride = self.stride  # type: ignore[assignment]
        return network


def model_section(values: Mapping[str, Any]) -> type[ModelConfig]:
    """Return the type of a recipe's ``model`` section, chosen by its ``target`` or its ``name``.

    Raises:
        UserError: No model has that name.
    """
    if "target" in values:
        return TargetModelConfig
    name = values.get("name")
    if not isinstance(name, str) or name not in MODELS:
        raise UserError(f"key 'model.name' must be one of {', '.join(MODELS)} (got {name!r})")
    return MODELS[name]
