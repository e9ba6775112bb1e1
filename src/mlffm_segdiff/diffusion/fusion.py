"""Fusion of several samples of a mask into one probability map."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.config.schema import FusionName

STAPLE_ROUNDS = 500
"""Maximum number of iterations of STAPLE; five samples of each of 194 ISIC images took 2 to 120."""


def check_fusion(fusion: FusionName) -> None:
    """Raise UserError if the fusion needs a package that is not installed."""
    if fusion == "staple":
        with needs_extra("staple"):
            import SimpleITK  # noqa: F401


def fuse(samples: Tensor, fusion: FusionName) -> Tensor:
    """Fuse the samples of each image into its probability map.

    Args:
        samples: N samples of B images, NB1HW in [0, 1].
        fusion: ``mean``, or ``staple`` of the samples' masks at 0.5, see `staple_probability`.

    Returns:
        B1HW in [0, 1]; a single sample unchanged.
    """
    if len(samples) == 1:
        return samples[0]
    if fusion == "mean":
        return samples.mean(dim=0)
    masks = (samples >= 0.5).squeeze(2).cpu().numpy()
    fused = np.stack([staple_probability(masks[:, image]) for image in range(masks.shape[1])])
    return torch.from_numpy(fused).unsqueeze(1).to(samples)


def staple_probability(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Estimate each pixel's probability of lesion from masks of unknown quality by STAPLE.

    STAPLE (Warfield et al. 2004, by SimpleITK): expectation maximisation of the true mask and of each mask's
    sensitivity and specificity, with the mean share of lesion as the prior of every pixel. Masks that agree
    are returned unchanged, because STAPLE would divide 0 by 0 for all lesion or all skin. The result does not
    depend on the order of the masks, not even by rounding.

    Args:
        masks: N H W.

    Returns:
        H W in [0, 1].

    Raises:
        UserError: SimpleITK is not installed.
    """
    if (masks == masks[0]).all():
        agreed: NDArray[np.float64] = masks[0].astype(np.float64)
        return agreed
    with needs_extra("staple"):
        import SimpleITK
    ordered = sorted(masks.astype(np.uint8), key=bytes)
    images = [SimpleITK.GetImageFromArray(mask) for mask in ordered]
    staple = SimpleITK.STAPLEImageFilter()
    staple.SetMaximumIterations(STAPLE_ROUNDS)
    found: NDArray[np.float64] = SimpleITK.GetArrayFromImage(staple.Execute(images))
    return found
