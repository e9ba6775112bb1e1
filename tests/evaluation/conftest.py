from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.metrics.overlap import Mask

SaveMask = Callable[[Path, Mask], Path]


@pytest.fixture
def save_mask() -> SaveMask:
    """Write an HxW bool mask as an image of 0 and 255, creating its folders, and return the path."""

    def save(path: Path, mask: Mask) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * 255).save(path)
        return path

    return save


@pytest.fixture
def left_half() -> Mask:
    mask = np.zeros((12, 20), bool)
    mask[:, :10] = True
    return mask
