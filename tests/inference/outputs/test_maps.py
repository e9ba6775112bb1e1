import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.outputs.maps import BAND, sixteen_bits, write_map

VALUES = np.array([[0, 0.25, 0.5], [0.75, 1, 1 / 65535]], np.float32)


def test_a_png_has_16_bits_a_pixel_from_0_to_65535(tmp_path: Path) -> None:
    write_map(VALUES, tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    width, height, bits, colours = struct.unpack(">IIBB", data[16:26])  # PNG's IHDR chunk
    assert (width, height, bits, colours) == (3, 2, 16, 0)
    with Image.open(tmp_path / "a.png") as image:
        assert np.asarray(image).tolist() == [[0, 16384, 32768], [49151, 65535, 1]]


def test_an_npy_has_the_values_themselves(tmp_path: Path) -> None:
    write_map(VALUES, tmp_path / "a.npy")
    found = np.load(tmp_path / "a.npy")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VALUES)


def test_bands_cover_every_row() -> None:
    values = np.random.default_rng(0).random((2 * BAND + 3, 2), dtype=np.float32)
    np.testing.assert_array_equal(sixteen_bits(values), np.rint(values * np.float32(65535)))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"a\.png cannot be written"):
        write_map(VALUES, tmp_path / "file" / "a.png")
