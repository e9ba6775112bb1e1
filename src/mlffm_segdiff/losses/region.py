"""The default loss of a network that predicts a mask's logit."""

from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlffm_segdiff.losses.mask_loss import register_loss

if TYPE_CHECKING:
    from monai.losses import DiceLoss


def kervadec_boundary(probability: Tensor, distance: Tensor) -> Tensor:
    """Kervadec's boundary loss, the mean of probability * signed distance (Kervadec et al. 2021, eq. 5).

    Distances are divided by the image's height, so that the loss does not grow with resolution.

    Args:
        probability: B1HW in [0, 1].
        distance: Signed distance to the contour in pixels, B1HW, negative inside, so the true mask minimises
            it.

    Returns:
        A scalar.
    """
    return (probability * distance).mean() / distance.shape[2]


@register_loss("region")
class RegionLoss(nn.Module):
    """w * BCE + soft Dice (+ Kervadec's boundary loss), each with its factor (docs/METHOD.md).

    Args:
        cross_entropy: Factor of the weighted binary cross-entropy.
        dice: Factor of the soft Dice loss.
        kervadec: Factor of `kervadec_boundary`.
        batch_dice: Dice over the pixels of a batch together; otherwise its mean over the images.
        dice_smooth: Added to the numerator and the denominator of Dice.
    """

    def __init__(
        self,
        cross_entropy: float = 1.0,
        dice: float = 1.0,
        kervadec: float = 0.0,
        batch_dice: bool = False,
        dice_smooth: float = 1.0,
    ) -> None:
        super().__init__()
        self.cross_entropy = cross_entropy
        self.dice = dice
        self.kervadec = kervadec
        self.batch_dice = batch_dice
        self.dice_smooth = dice_smooth

    @property
    def mean_over_images(self) -> bool:
        """Whether the loss of a batch is the mean of those of its images; see `MaskLoss`."""
        return not (self.dice and self.batch_dice)

    @cached_property
    def dice_loss(self) -> "DiceLoss":
        """MONAI's soft Dice loss; imported on first use, because segmenting needs no loss."""
        from monai.losses import DiceLoss

        smooth = self.dice_smooth
        return DiceLoss(sigmoid=True, smooth_nr=smooth, smooth_dr=smooth, batch=self.batch_dice)

    def forward(self, logit: Tensor, mask: Tensor, distance: Tensor, weight: Tensor) -> Tensor:
        """Compute the loss, a scalar; see `MaskLoss`."""
        logit = logit.float()
        target = (mask > 0).float()
        entropy = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
        loss: Tensor = self.cross_entropy * (weight * entropy).mean()
        if self.dice:
            loss = loss + self.dice * self.dice_loss(logit, target)
        if self.kervadec:
            loss = loss + self.kervadec * kervadec_boundary(torch.sigmoid(logit), distance)
        return loss


def weighted_squared_error(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the weighted mean squared error, the loss of a network that predicts epsilon or v.

    Args:
        output: B1HW.
        target: B1HW.
        weight: Broadcast to B1HW.

    Returns:
        The mean of weight * (output - target)^2, a scalar.

    Raises:
        ValueError: Output and target have different shapes.
    """
    if output.shape != target.shape:
        raise ValueError(f"output of shape {tuple(output.shape)} for a target of {tuple(target.shape)}")
    return (weight * (output - target).square()).mean()
