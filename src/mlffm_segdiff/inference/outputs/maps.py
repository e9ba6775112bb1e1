"""Maps of values between 0 and 1 as files."""

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.segmenters.at_source import Map

WHITE = 65535
BAND = 512


def write_map(values: Map, path: Path) -> None:
    """Write an HxW float32 map in [0, 1]: .npy as it is, .png in 16 bits as `sixteen_bits`.

    Raises UserError where it cannot be written.
    """
    with atomic_write(path) as temporary:
        if path.suffix == ".npy":
            np.save(temporary, values)
        else:
            Image.fromarray(sixteen_bits(values)).save(temporary, compress_type=zlib.Z_RLE)


def sixteen_bits(values: Map) -> npt.NDArray[np.uint16]:
    """Return WHITE times the values, rounded, band by band of rows, which spares memory."""
    found = np.empty(values.shape, np.uint16)
    for top in range(0, len(values), BAND):
        rows = slice(top, top + BAND)
        found[rows] = np.rint(values[rows] * np.float32(WHITE))
    return found
