"""Losses: the region loss, Kervadec's boundary loss, and boundary weights.

Example:
    >>> from mlffm_segdiff.losses import RegionLoss
    >>> loss = RegionLoss(cross_entropy=1, dice=1)(logit, mask, distance, weight)

`register_loss` adds a `MaskLoss` to `LOSSES`.
"""

from mlffm_segdiff.losses.boundary_weight import (
    BandWeight,
    BoundaryWeight,
    DermoSegDiffWeight,
    band_weight,
    dermosegdiff_weight,
    uniform_weight,
)
from mlffm_segdiff.losses.mask_loss import LOSSES, MaskLoss, register_loss
from mlffm_segdiff.losses.region import RegionLoss, kervadec_boundary, weighted_squared_error

__all__ = [
    "LOSSES",
    "BandWeight",
    "BoundaryWeight",
    "DermoSegDiffWeight",
    "MaskLoss",
    "RegionLoss",
    "band_weight",
    "dermosegdiff_weight",
    "kervadec_boundary",
    "register_loss",
    "uniform_weight",
    "weighted_squared_error",
]
