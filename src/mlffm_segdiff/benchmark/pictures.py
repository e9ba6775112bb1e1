"""Photographs' stand-ins to time `predict` on."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.files import decode_image
from mlffm_segdiff.inference.demo import samples_folder

WIDTH, HEIGHT = 1024, 768
NOISE = 3.0
QUALITY = 92


def write_photographs(folder: Path, count: int) -> list[Path]:
    """Write ``count`` JPEG files of WIDTH x HEIGHT, no two alike, and return their paths.

    They are the package's sample pictures, enlarged, with a camera's noise (SD 3 of 255) so that they decode
    as slowly as photographs do, each moved sideways by another number of pixels.
    """
    bases = [_enlarged(path) for path in sorted(samples_folder().glob("*.png"))]
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"picture_{number:05d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        moved = np.roll(bases[number % len(bases)], number, axis=1)
        Image.fromarray(moved).save(path, quality=QUALITY)
    return paths


def _enlarged(path: Path) -> npt.NDArray[np.uint8]:
    picture = Image.fromarray(decode_image(Entry(path).read(), str(path)))
    pixels = np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=np.float32)
    noise = np.random.default_rng(0).normal(scale=NOISE, size=pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
