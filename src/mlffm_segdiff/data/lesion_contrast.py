"""Contrast: how much the colour of a lesion differs from that of the skin around it."""

import math

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from skimage.color import deltaE_ciede2000, rgb2lab

from mlffm_segdiff.data.skin_tone import DARKEST_SKIN

RING = 0.1
"""Width of the ring of skin around the lesion, as a share of the image's diagonal."""


def lesion_contrast(image: npt.NDArray[np.uint8], lesion: npt.NDArray[np.bool_]) -> float:
    """Compute the CIEDE2000 colour difference between a lesion and the ring of skin around it.

    Compares the medians of L*, a* and b*, so that hair and glare count little. Dark corners and frames are
    left out of the ring.

    Args:
        image: HxWx3 uint8 sRGB.
        lesion: HxW bool.

    Returns:
        The difference, 0 for equal colours; about 1 is barely visible. NaN without a lesion or without skin
        in the ring.
    """
    if not lesion.any():
        return math.nan
    lab = rgb2lab(image)
    near = distance_transform_edt(~lesion) <= RING * math.hypot(*lesion.shape)
    ring = near & ~lesion & (lab[..., 0] >= DARKEST_SKIN)
    if not ring.any():
        return math.nan
    return float(deltaE_ciede2000(np.median(lab[lesion], axis=0), np.median(lab[ring], axis=0)))
