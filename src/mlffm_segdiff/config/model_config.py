"""What the sections of all models have in common."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mlffm_segdiff.config.section import Section

if TYPE_CHECKING:
    from torch import nn

Contract = Literal["denoiser", "direct"]


class ModelConfig(Section):
    """The network: the name of a model; its subclass adds the model's arguments.

    A subclass is registered by `mlffm_segdiff.models.register_model` and builds its network itself.

    Attributes:
        contract: What `build` returns: a ``denoiser`` with ``encode`` and ``denoise``, or a ``direct``
            network that maps an image to a logit.
        citation: The source of the model.
        name: The model.
    """

    contract: ClassVar[Contract] = "direct"
    citation: ClassVar[str] = ""

    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """The section's keys but the name, for a network whose keyword arguments have the same names."""
        return self.model_dump(exclude={"name"})

    def build(self, mask_channels: int) -> "nn.Module":
        """Build the network with fresh weights; it has an int attribute ``total_stride``.

        Args:
            mask_channels: Channels of a denoiser's noisy mask: 2 with self-conditioning, otherwise 1.
        """
        raise NotImplementedError
