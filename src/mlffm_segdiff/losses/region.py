"""The loss of a network that gives a mask's logit."""

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor, nn


def kervadec_boundary(probability: Tensor, distance: Tensor) -> Tensor:
    """Return the mean of probability * signed distance (Kervadec et al. 2021, eq. 5), a scalar.

    probability: B1HW in [0, 1]. distance: B1HW, signed pixels, negative inside, so the minimum is the mask
    itself. Distances are divided by the image's height, so that the term does not grow with resolution.
    """
    return (probability * distance).mean() / distance.shape[2]


class RegionLoss(nn.Module):
    """w * BCE + soft Dice (+ Kervadec's boundary term), each with its factor (docs/METHOD.md).

    batch_dice: Dice over the pixels of a batch together, else its mean over the images. dice_smooth: what is
    added above and below its line.
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
        self.dice_loss = DiceLoss(
            sigmoid=True, smooth_nr=dice_smooth, smooth_dr=dice_smooth, batch=batch_dice
        )

    def forward(self, logit: Tensor, mask: Tensor, distance: Tensor, weight: Tensor) -> Tensor:
        """Return the loss, a scalar; logit, mask (+-1) and distance B1HW, weight broadcasts to them."""
        logit = logit.float()
        target = (mask > 0).float()
        entropy = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
        loss: Tensor = self.cross_entropy * (weight * entropy).mean() + self.dice * self.dice_loss(
            logit, target
        )
        if self.kervadec:
            loss = loss + self.kervadec * kervadec_boundary(torch.sigmoid(logit), distance)
        return loss


def weighted_squared_error(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return each case's mean of weight * (output - target)^2 (B), the loss of an epsilon or v network.

    output, target: B1HW; weight broadcasts to them.
    """
    return (weight * (output - target).square()).flatten(1).mean(dim=1)
