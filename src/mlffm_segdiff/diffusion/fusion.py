"""Several samples of a mask become one probability map."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlffm_segdiff.config.extra import needs_extra

FusionName = Literal["mean", "staple"]

# Five samples each of 194 images of ISIC took 2 to 120 rounds; masks of noise can take over a thousand.
STAPLE_ROUNDS = 500


def check_fusion(fusion: FusionName) -> None:
    """Raise UserError if the fusion needs a package that is not installed."""
    if fusion == "staple":
        with needs_extra("staple"):
            import SimpleITK  # noqa: F401


def fuse(samples: Tensor, fusion: FusionName) -> Tensor:
    """Return each image's probability map (B1HW in [0, 1]) from its samples' (SB1HW in [0, 1]).

    mean: their mean. staple: `staple_probability` of their masks, in which a pixel is lesion from 0.5. One
    sample is returned as it is.
    """
    if len(samples) == 1:
        return samples[0]
    if fusion == "mean":
        return samples.mean(dim=0)
    masks = (samples >= 0.5).squeeze(2).cpu().numpy()
    fused = np.stack([staple_probability(masks[:, image]) for image in range(masks.shape[1])])
    return torch.from_numpy(fused).unsqueeze(1).to(samples)


def staple_probability(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return each pixel's probability (HxW in [0, 1]) to be lesion, from masks (SxHxW) of unknown worth.

    STAPLE (Warfield et al. 2004), of SimpleITK: expectation and maximisation of the true mask and of each
    mask's sensitivity and specificity, with the mean share of lesion as the prior of every pixel. Masks that
    agree are returned as they are; STAPLE would divide 0 by 0 where these are all lesion or all skin. Nothing
    depends on the order of the masks, not even rounding.
    Raises UserError if SimpleITK is not installed.
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
