"""Synthetic cases on disk, in the layout that the ``folder`` reader reads."""

from pathlib import Path

import numpy as np
from PIL import Image

from mlffm_segdiff.data.atomic import whole_folder
from mlffm_segdiff.data.synthetic import case_seed, synthetic_case


def write_folder(folder: Path, count: int, side: int, seed: int) -> None:
    """Write ``count`` square cases as folder/images/*.png and folder/masks/*.png (0 or 255).

    The folder appears whole or not at all; one that exists is left as it is.
    Raises UserError where it cannot be written.
    """
    if folder.is_dir():
        return
    with whole_folder(folder) as building:
        for part in ("images", "masks"):
            (building / part).mkdir()
        for number in range(count):
            image, mask = synthetic_case(case_seed(seed, number), side, side)
            name = f"synthetic_{number:05d}.png"
            Image.fromarray(image).save(building / "images" / name)
            Image.fromarray(mask.astype(np.uint8) * 255).save(building / "masks" / name)
