"""Quality features of an image, sharpness, lightness and colour, and their range in training images."""

from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy.ndimage import laplace
from skimage.color import rgb2lab

TAIL = 0.005
"""Share of the training images outside each limit."""

BLANK = 3
"""Maximum difference of the darkest and the brightest value of a colour in a blank image, of 255."""

Range = tuple[float, float]


@dataclass(frozen=True)
class ImageQuality:
    """Quality features of an image at the network's size.

    Attributes:
        sharpness: Variance of the Laplacian of L* (Pech-Pacheco et al. 2000).
        lightness: Median of L* (CIELAB, D65).
        red_green: Median of a*.
        blue_yellow: Median of b*.
    """

    sharpness: float
    lightness: float
    red_green: float
    blue_yellow: float


@dataclass(frozen=True)
class QualityLimits:
    """Range of each feature of `ImageQuality` in training images, without TAIL at each end."""

    sharpness: Range
    lightness: Range
    red_green: Range
    blue_yellow: Range


def image_quality(image: npt.NDArray[np.uint8]) -> ImageQuality:
    """Compute the features of an image, SxSx3 uint8 sRGB."""
    lab = rgb2lab(image)
    lightness, red_green, blue_yellow = np.median(lab, axis=(0, 1)).tolist()
    return ImageQuality(float(laplace(lab[..., 0]).var()), lightness, red_green, blue_yellow)


def is_blank(image: npt.NDArray[np.uint8]) -> bool:
    """Return whether an image, HxWx3 uint8, has one colour only: no channel varies by more than BLANK."""
    return bool(np.ptp(image, axis=(0, 1)).max() <= BLANK)


def quality_limits(images: Iterable[npt.NDArray[np.uint8]]) -> QualityLimits:
    """Compute the limits from one or more training images, SxSx3 uint8 sRGB."""
    found = np.array([astuple(image_quality(image)) for image in images])
    low, high = np.quantile(found, [TAIL, 1 - TAIL], axis=0).tolist()
    names = [field.name for field in fields(QualityLimits)]
    return QualityLimits(**dict(zip(names, zip(low, high, strict=True), strict=True)))


def unlike_training(quality: ImageQuality, limits: QualityLimits) -> dict[str, int]:
    """Return for each feature, by name, whether it is below (-1), within (0) or above (1) the limits.

    Args:
        quality: Features of an image.
        limits: Limits of the training images.

    Returns:
        Sign by name of the feature.
    """
    found = {}
    for name, value in asdict(quality).items():
        low, high = getattr(limits, name)
        found[name] = int(value > high) - int(value < low)
    return found
