"""The contract of a mask's loss, and losses by name."""

from collections.abc import Callable
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol

from torch import Tensor

from mlffm_segdiff.config.registry import Registry


class MaskLoss(Protocol):
    """The loss of a network that predicts a logit: a function, or a module with such a ``forward``.

    A module that is a mean over images can have an attribute ``mean_over_images`` that is true. Processes
    that train together then exchange gradients only, not the logits of the whole batch.
    """

    def __call__(self, logit: Tensor, mask: Tensor, distance: Tensor, weight: Tensor, /) -> Tensor:
        """Compute the loss.

        Args:
            logit: The network's output, B1HW.
            mask: The true mask, B1HW, +1 lesion and -1 skin.
            distance: Signed distance to the nearest contour in pixels, B1HW, negative inside.
            weight: The boundary weight of each pixel, B1HW or broadcast to it.

        Returns:
            A scalar.
        """


LOSSES: Registry[Callable[..., Any]] = Registry(
    "loss",
    group="mlffm_segdiff.losses",
    modules=tuple(
        f"mlffm_segdiff.losses.{found.name}" for found in iter_modules([str(Path(__file__).parent)])
    ),
)
"""Classes of `MaskLoss`, made with a recipe's ``loss.args``, and functions that take these as keywords."""

register_loss = LOSSES.register
