"""A proxy of skin tone: the individual typology angle of the skin beside the lesion."""

import math

import numpy as np
import numpy.typing as npt
from skimage.color import rgb2lab

TONES = ("very light", "light", "intermediate", "tan", "brown", "dark")
DARKEST_SKIN = 20.0
"""L* below which a pixel is taken for a dark corner or a frame, not for skin."""
LEAST_SKIN = 0.1
"""Share of the picture that must be skin: a strip along a lesion's rim is no skin to measure."""
BOUNDS = (55.0, 41.0, 28.0, 10.0, -30.0)
"""Degrees above which each tone but the last begins (Chardon et al. 1991; Del Bino and Bernerd 2013)."""


def typology_angle(image: npt.NDArray[np.uint8], lesion: npt.NDArray[np.bool_]) -> float:
    """Return ITA = arctan((L* - 50) / b*) in degrees of the skin outside the lesion; NaN where it is little.

    image: HxWx3 uint8 sRGB. lesion: HxW bool. High is light skin (Chardon et al. 1991). It is the
    angle of the point (b*, L* - 50): bluish skin (b* < 0), which the definition does not know, is above 90.
    As Kinyanjui et al. 2020 do on dermoscopic images, L* and b* are means over the values within one standard
    deviation of their mean, which leaves out hair and glare; dark corners are left out before. The camera's
    light and white balance are in it: it compares pictures of one source, and measures nobody's skin.
    """
    lab = rgb2lab(image)
    lab = lab[~lesion & (lab[..., 0] >= DARKEST_SKIN)]
    if len(lab) < LEAST_SKIN * lesion.size:
        return math.nan
    lightness, yellow = _core_mean(lab[:, 0]), _core_mean(lab[:, 2])
    return math.degrees(math.atan2(lightness - 50, yellow))


def tone_name(angle: float) -> str:
    """Return the tone of an angle in degrees, one of TONES."""
    return TONES[sum(angle <= bound for bound in BOUNDS)]


def _core_mean(values: npt.NDArray[np.float64]) -> float:
    """Return the mean of the values within one standard deviation of their mean."""
    near = np.abs(values - values.mean()) <= values.std()
    return float(values[near].mean()) if near.any() else float(values.mean())
