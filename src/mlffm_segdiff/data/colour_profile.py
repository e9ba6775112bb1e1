"""Embedded ICC profiles: the colours of an image as sRGB, in which the networks were trained."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

NEAR = 2
"""Profiles whose colours differ from sRGB by at most this many of 255 levels count as sRGB."""

ToSrgb = Callable[[Image.Image], Image.Image]


def srgb_conversion(profile: bytes | None, mode: str) -> ToSrgb | None:
    """Return the conversion of an image with a profile to sRGB (mode RGB), with perceptual intent.

    Args:
        profile: The ICC profile; None if the image has none.
        mode: Mode of the images to convert: RGB, L or CMYK, or LAB, which needs no profile.

    Returns:
        The conversion; None if there is no profile, or it is sRGB already, damaged, or of another colour
        space than the image.
    """
    if not profile and mode != "LAB":
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile or b"")) if profile else _lab()
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        samples = _samples(mode)
        shown = np.asarray(transform.apply(samples), dtype=int)
    except Exception:  # of many types, on damaged profiles
        return None
    if np.ptp(shown) < 128 or (
        mode in ("RGB", "L") and np.abs(shown - np.asarray(samples.convert("RGB"), dtype=int)).max() <= NEAR
    ):
        return None
    return transform.apply


def _lab() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))


def _samples(mode: str) -> Image.Image:
    """Return an image of colours that cover the mode evenly."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    steps = np.linspace(0, 255, 256 if bands == 1 else 7).astype(np.uint8)
    grid = np.stack(np.meshgrid(*[steps] * bands), axis=-1).reshape(1, -1, bands)
    return Image.frombytes(mode, (grid.shape[1], 1), grid.tobytes())
