"""What tells a dermoscopic picture from others at a glance: sharpness, light and colour."""

from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy.ndimage import laplace
from skimage.color import rgb2lab

TAIL = 0.005
"""Share of the training pictures that lies beyond each limit."""

Range = tuple[float, float]


@dataclass(frozen=True)
class ImageQuality:
    """Four numbers of a picture, at the network's size.

    sharpness: variance of the Laplacian of L* (Pech-Pacheco et al. 2000). lightness, red_green, blue_yellow:
    medians of L*, a* and b* (CIELAB, D65).
    """

    sharpness: float
    lightness: float
    red_green: float
    blue_yellow: float


@dataclass(frozen=True)
class QualityLimits:
    """The range of each number of `ImageQuality` in training pictures, but for TAIL at each end."""

    sharpness: Range
    lightness: Range
    red_green: Range
    blue_yellow: Range


def image_quality(image: npt.NDArray[np.uint8]) -> ImageQuality:
    """Return the numbers of a picture, SxSx3 uint8 sRGB."""
    lab = rgb2lab(image)
    lightness, red_green, blue_yellow = np.median(lab, axis=(0, 1)).tolist()
    return ImageQuality(float(laplace(lab[..., 0]).var()), lightness, red_green, blue_yellow)


def quality_limits(images: Iterable[npt.NDArray[np.uint8]]) -> QualityLimits:
    """Return the limits of training pictures, each SxSx3 uint8 sRGB; one or more."""
    found = np.array([astuple(image_quality(image)) for image in images])
    low, high = np.quantile(found, [TAIL, 1 - TAIL], axis=0).tolist()
    names = [field.name for field in fields(QualityLimits)]
    return QualityLimits(**dict(zip(names, zip(low, high, strict=True), strict=True)))


def unlike_training(quality: ImageQuality, limits: QualityLimits) -> dict[str, int]:
    """Return -1 (below), 0 (within) or 1 (above) the limits for each number by name."""
    found = {}
    for name, value in asdict(quality).items():
        low, high = getattr(limits, name)
        found[name] = int(value > high) - int(value < low)
    return found
