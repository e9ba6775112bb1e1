"""Files that decode as slowly as photographs, to measure with."""

from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from mlffm_segdiff.inference.demo import samples_folder

WIDTH, HEIGHT = 1024, 768
NOISE, JPEG_QUALITY = 3.0, 92


def write_photographs(
    folder: Path, count: int, width: int = WIDTH, height: int = HEIGHT, first: int = 0
) -> list[Path]:
    """Write different JPEG files that decode as slowly as photographs.

    They are the package's sample images, enlarged, with a camera's noise (SD 3 of 255), each shifted sideways
    by another number of pixels.

    Args:
        folder: Folder to write to.
        count: Number of files.
        width: Image width in pixels.
        height: Image height in pixels.
        first: Number of the first file, from which the others are counted.

    Returns:
        Their paths.
    """
    noise = np.random.default_rng(0).normal(scale=NOISE, size=(height, width, 3))
    samples = []
    for path in islice(sorted(samples_folder().glob("*.png")), count):
        with Image.open(path) as image:
            large = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        samples.append(np.clip(np.rint(np.asarray(large) + noise), 0, 255).astype(np.uint8))
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"image_{number:05d}.jpg" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        shifted = np.roll(samples[number % len(samples)], number, axis=1)
        Image.fromarray(shifted).save(path, quality=JPEG_QUALITY)
    return paths
