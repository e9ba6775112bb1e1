"""Skin tone by proxy: the individual typology angle (ITA) of the skin around the lesion."""

import math

import numpy as np
import numpy.typing as npt
from skimage.color import rgb2lab

TONES = ("very light", "light", "intermediate", "tan", "brown", "dark")
DARKEST_SKIN = 20.0
"""L* below which a pixel is a dark corner or a frame, not skin."""
MIN_SKIN = 0.1
"""Minimum share of the image that must be skin."""
BOUNDS = (55.0, 41.0, 28.0, 10.0, -30.0)
"""Lower bounds (degrees) of all tones but the last (Chardon et al. 1991; Del Bino and Bernerd 2013)."""


def typology_angle(image: npt.NDArray[np.uint8], lesion: npt.NDArray[np.bool_]) -> float:
    """Compute ITA = arctan((L* - 50) / b*) of the skin outside the lesion (Chardon et al. 1991).

    L* and b* are means over the values within one standard deviation of their mean, which excludes hair and
    glare (Kinyanjui et al. 2020); dark corners are excluded first. The angle depends on the camera's light
    and white balance, so it compares images of one source and does not measure a person's skin.

    Args:
        image: HxWx3 uint8 sRGB.
        lesion: HxW bool.

    Returns:
        Angle in degrees, high for light skin; above 90 for bluish skin (b* < 0), which the definition omits;
        NaN if there is too little skin.
    """
    lab = rgb2lab(image)
    lab = lab[~lesion & (lab[..., 0] >= DARKEST_SKIN)]
    if len(lab) < MIN_SKIN * lesion.size:
        return math.nan
    lightness, yellow = _core_mean(lab[:, 0]), _core_mean(lab[:, 2])
    return math.degrees(math.atan2(lightness - 50, yellow))


def tone_name(angle: float) -> str:
    """Return the name of an angle's tone, one of TONES."""
    return TONES[sum(angle <= bound for bound in BOUNDS)]


def _core_mean(values: npt.NDArray[np.float64]) -> float:
    """Return the mean of the values within one standard deviation of their mean."""
    near = np.abs(values - values.mean()) <= values.std()
    return float(values[near].mean()) if near.any() else float(values.mean())
