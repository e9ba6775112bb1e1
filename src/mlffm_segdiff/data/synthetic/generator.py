"""Synthetic cases: scenes, lists of cases, and folders of them.

The sample images of the package were made by `write_samples`:

    python -c "from mlffm_segdiff.data.synthetic import write_samples; \\
        write_samples('src/mlffm_segdiff/samples', count=8, seed=13)"
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.synthetic.artifacts import add_artifacts
from mlffm_segdiff.data.synthetic.fields import Field, Frame
from mlffm_segdiff.data.synthetic.lesion import lesion_depth, lesion_mask, lesion_pigments, veil_colour
from mlffm_segdiff.data.synthetic.skin import illumination, shade, skin_colour, skin_pigments, surface
from mlffm_segdiff.files.atomic import atomic_folder, atomic_write, open_checked

GENERATOR = 1
"""Version of the generator, to be raised with every change to the images or masks of a seed."""

SMALLEST = 32
SAMPLE_SIZES = ((512, 384), (560, 420), (480, 360))


def synthetic_scene(seed: int, width: int, height: int) -> tuple[Field, NDArray[np.bool_]]:
    """Generate a lesion on bare skin with its mask; see `synthetic_case`.

    Args:
        seed: Seed of the scene, at least 0.
        width: Width in pixels, at least 32.
        height: Height in pixels, at least 32.

    Returns:
        Image, HxWx3 in [0, 1], and mask, HxW bool.

    Raises:
        UserError: If seed or size is out of range.
    """
    _check(seed, width, height)
    frame = Frame(width, height)
    shape, skin, lesion, _ = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4))
    depth, middle = lesion_depth(frame, shape)
    light = illumination(frame, skin) * surface(frame, skin)
    pigments = lesion_pigments(frame, depth, middle, lesion)
    colour = skin_colour(skin)
    veil = np.minimum(veil_colour(lesion), 0.8 * colour)
    return shade(colour, light, skin_pigments(frame, skin), pigments, veil), lesion_mask(depth)


def synthetic_case(seed: int, width: int, height: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Generate a dermoscopic image with its mask.

    The mask is that of the lesion under hair, ink and other artefacts. At a soft border its contour is a
    third of the way from skin to lesion, where annotators draw it.

    Args:
        seed: Determines the scene, at least 0.
        width: Width in pixels, at least 32; the size changes only resolution and crop of the scene.
        height: Height in pixels, at least 32.

    Returns:
        Image, HxWx3 uint8 sRGB, and mask, HxW bool.

    Raises:
        UserError: If seed or size is out of range.
    """
    image, mask = synthetic_scene(seed, width, height)
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(4)[3])
    return np.round(add_artifacts(image, mask, rng) * 255).astype(np.uint8), mask


def synthetic_pairs(
    count: int, size: int, seed: int
) -> tuple[tuple[str, ...], NDArray[np.uint8], NDArray[np.uint8]]:
    """Generate a list of square cases; case k depends only on the seed and k.

    Args:
        count: Number of cases N, at least 1.
        size: Height and width S in pixels, at least 32.
        seed: Seed of the list, at least 0.

    Returns:
        Ids, images NxSxSx3 uint8, and masks NxSxS uint8 (0 or 1).

    Raises:
        UserError: If an argument is out of range.
    """
    if count < 1:
        raise UserError(f"synthetic data: count is {count}; give 1 or more")
    _check(seed, size, size)
    ids = tuple(f"synthetic_{seed}_{k:05d}" for k in range(count))
    images = np.empty((count, size, size, 3), dtype=np.uint8)
    masks = np.empty((count, size, size), dtype=np.uint8)
    for k in range(count):
        images[k], masks[k] = synthetic_case(case_seed(seed, k), size, size)
    return ids, images, masks


def case_seed(seed: int, k: int) -> int:
    """Return the seed of one case of a list.

    Args:
        seed: Seed of the list, at least 0.
        k: Number of the case, from 0.
    """
    return int(np.random.SeedSequence([seed, k]).generate_state(1, np.uint64)[0])


def write_samples(folder: Path | str, count: int, seed: int) -> list[Path]:
    """Write cases as folder/sample_1.png and folder/masks/sample_1.png (0 or 255), numbered from 1.

    Args:
        folder: Folder to write to.
        count: Number of cases.
        seed: Seed of the list of cases.

    Returns:
        Paths of the images.
    """
    root = Path(folder)
    (root / "masks").mkdir(parents=True, exist_ok=True)
    paths = [root / f"sample_{k + 1}.png" for k in range(count)]
    for k, path in enumerate(paths):
        image, mask = sample_case(seed, k)
        for target, pixels in ((root / "masks" / path.name, mask.astype(np.uint8) * 255), (path, image)):
            with atomic_write(target) as temporary:
                _write_png(temporary, pixels, optimize=True)
    return paths


def sample_case(seed: int, k: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Generate one case of `write_samples`.

    Args:
        seed: Seed of the list, at least 0.
        k: Number of the case, from 0.

    Returns:
        Image, HxWx3 uint8 sRGB, and mask, HxW bool.
    """
    return synthetic_case(case_seed(seed, k), *SAMPLE_SIZES[k % len(SAMPLE_SIZES)])


def write_folder(folder: Path, count: int, side: int, seed: int) -> None:
    """Write square cases as folder/images/*.png and folder/masks/*.png (0 or 255), unless the folder exists.

    The data set ``folder`` reads this layout. The folder is written atomically.

    Args:
        folder: Folder to create.
        count: Number of cases.
        side: Height and width in pixels.
        seed: Seed of the list of cases, at least 0.

    Raises:
        UserError: If the folder cannot be written.
    """
    if folder.is_dir():
        return
    with atomic_folder(folder) as building:
        for kind in ("images", "masks"):
            (building / kind).mkdir()
        for number in range(count):
            image, mask = synthetic_case(case_seed(seed, number), side, side)
            name = f"synthetic_{number:05d}.png"
            _write_png(building / "images" / name, image)
            _write_png(building / "masks" / name, mask.astype(np.uint8) * 255)


def _write_png(path: Path, pixels: NDArray[np.uint8], optimize: bool = False) -> None:
    with open_checked(path) as file:
        Image.fromarray(pixels).save(file, "PNG", optimize=optimize)


def _check(seed: int, width: int, height: int) -> None:
    if min(width, height) < SMALLEST:
        raise UserError(
            f"synthetic data: size is {width} x {height}; give {SMALLEST} pixels or more per side"
        )
    if seed < 0:
        raise UserError(f"synthetic data: seed is {seed}; give 0 or more")
