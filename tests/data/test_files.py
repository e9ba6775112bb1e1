import base64
import importlib.util
import io
import struct
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.files import (
    MAX_PIXELS,
    decode_image,
    decode_mask,
    decode_pil,
    image_size,
    upright_size,
)

Decode = Callable[[bytes, str], np.ndarray]
RGB = np.arange(60, dtype=np.uint8).reshape(4, 5, 3) * 4


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@given(arrays(np.uint8, (3, 4, 3)), st.sampled_from(["PNG", "BMP", "TIFF"]))
def test_lossless_colour_comes_back_bit_for_bit(array: np.ndarray, kind: str) -> None:
    assert (decode_image(saved(Image.fromarray(array), kind), "x") == array).all()


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, RGB),
        (2, RGB[:, ::-1]),
        (3, RGB[::-1, ::-1]),
        (4, RGB[::-1]),
        (5, RGB.transpose(1, 0, 2)),
        (6, np.rot90(RGB, -1)),
        (7, RGB[::-1, ::-1].transpose(1, 0, 2)),
        (8, np.rot90(RGB, 1)),
    ],
)
def test_exif_orientation_is_applied(orientation: int, turned: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (decode_image(saved(Image.fromarray(RGB), exif=exif), "x") == turned).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_of_a_header_is_that_of_the_file_and_of_the_upright_image(
    kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(np.tile(RGB, (4, 6, 1))), kind, exif=exif)
    opened = Image.open(io.BytesIO(data))
    opened.load()
    assert image_size(data, "x") == (30, 16)
    assert upright_size(data, "x") == ImageOps.exif_transpose(opened).size
    assert upright_size(data, "x") == decode_pil(data, "x").size


def test_a_decoded_image_has_the_pixels_and_none_of_the_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "a patient's name"
    data = saved(Image.fromarray(RGB), "JPEG", exif=exif, comment=b"another", dpi=(300, 300))
    decoded = decode_pil(data, "x")
    assert (decoded.mode, decoded.info) == ("RGB", {})
    assert (np.asarray(decoded) == decode_image(data, "x")).all()


def test_transparent_pixels_are_composited_over_white() -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    expected = [[10, 20, 30], [255, 255, 255], [127, 127, 127]]
    assert decode_image(saved(Image.fromarray(rgba)), "x")[0].tolist() == expected


def test_gray_with_alpha_and_palette_with_transparency_are_composited_over_white() -> None:
    gray = np.array([[[7, 255], [7, 0]]], np.uint8)
    assert decode_image(saved(Image.fromarray(gray, "LA")), "x")[0].tolist() == [[7] * 3, [255] * 3]
    indexed = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    indexed.putpalette([200, 100, 50, 1, 2, 3])
    shown = decode_image(saved(indexed, transparency=1), "x")
    assert shown[0].tolist() == [[200, 100, 50], [255, 255, 255]]


def test_two_level_and_gray_files_become_three_equal_channels() -> None:
    for array in (np.array([[True, False]]), np.array([[255, 0]], np.uint8)):
        assert decode_image(saved(Image.fromarray(array)), "x")[0].tolist() == [[255] * 3, [0] * 3]


def test_cmyk_jpeg_looks_as_pillow_shows_it() -> None:
    cmyk = Image.fromarray(np.full((8, 8, 3), (200, 100, 50), np.uint8)).convert("CMYK")
    shown = decode_image(saved(cmyk, "JPEG", quality=95), "x")
    assert shown.shape == (8, 8, 3)
    assert np.abs(shown.astype(int) - (200, 100, 50)).max() <= 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_gray_keeps_its_high_byte(kind: str) -> None:
    deep = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    shown = decode_image(saved(Image.fromarray(deep), kind), "x")
    assert shown[0, :, 0].tolist() == [0, 0, 1, 128, 255]


DISC = np.hypot(*np.mgrid[-8:8, -8:8]) / 12  # 0 to nearly 1


@pytest.mark.parametrize("top", [0.9, 1.0, 1.04, 255, 4095, 65535])
def test_fractions_are_shown_by_their_range(top: float) -> None:
    values = (DISC / DISC.max() * top).astype(np.float32)
    shown = decode_image(saved(Image.fromarray(values), "TIFF"), "x")[..., 0]
    assert np.abs(shown / 255 - np.clip(values / (1 if top < 2 else top), 0, 1)).max() < 0.01


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
@pytest.mark.parametrize("top", [255, 4095, 65535])
def test_gray_of_8_or_12_bits_in_a_deeper_file_is_not_black(kind: type[np.integer], top: int) -> None:
    values = np.round(DISC / DISC.max() * top).astype(kind)
    shown = decode_image(saved(Image.fromarray(values), "TIFF"), "x")[..., 0]
    assert np.abs(shown / 255 - values / top).max() < 0.01


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 0.5, np.nan], "not finite"),
        ([0, 0.5, np.inf], "not finite"),
        ([-np.inf, 0.5, 1], "not finite"),
        ([-0.5, 0.5, 1], "from -0.5 to 1"),
        ([0, 1, 2], "from 0 to 2"),
        ([0, 1, 1e6], r"from 0 to 1e\+06"),
    ],
)
@pytest.mark.parametrize("decode", [decode_image, decode_mask])
def test_fractions_that_no_range_fits_are_refused_with_the_reason(
    values: list[float], words: str, decode: Decode
) -> None:
    stored = saved(Image.fromarray(np.array([values, [0.1, 0.2, 0.3]], np.float32)), "TIFF")
    with pytest.raises(UserError, match=rf"x\.tif has grey values .*{words}.*; (rescale|save)"):
        decode(stored, "x.tif")


def test_whole_numbers_beyond_16_bits_are_refused_with_their_range() -> None:
    for values, words in (([-5, 9], "from -5 to 9"), ([0, 70_000], "from 0 to 70000")):
        stored = saved(Image.fromarray(np.array([values], np.int32)), "TIFF")
        with pytest.raises(UserError, match=rf"x has grey values {words}"):
            decode_image(stored, "x")


@pytest.mark.parametrize("bits", [12, 16])
def test_colours_of_16_bits_keep_the_high_byte_and_of_12_bits_are_refused(bits: int) -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, (np.stack([DISC] * 3, axis=-1) * (2**bits - 1)).astype(np.uint16))
    if bits == 16:
        shown = decode_image(stream.getvalue(), "x")
        assert np.abs(shown[..., 0] / 255 - DISC).max() < 0.01
    else:
        with pytest.raises(
            UserError, match=r"x has 16-bit colours that are all nearly black, such as 12-bit"
        ):
            decode_image(stream.getvalue(), "x")


@pytest.mark.parametrize("decode", [decode_image, decode_mask])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_a_file_cut_off_anywhere_is_a_user_error_that_names_it(decode: Decode, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    pixels = noise if decode is decode_image else np.where(noise > 127, 255, 0).astype(np.uint8)[..., 0]
    whole = saved(Image.fromarray(pixels), kind)
    decode(whole, "lesion.x")
    for share in (0.0, 0.01, 0.1, 0.5, 0.9):
        with pytest.raises(UserError, match=r"lesion\.x"):
            decode(whole[: int(len(whole) * share)], "lesion.x")


@given(st.binary(max_size=200))
def test_bytes_that_are_not_an_image_are_a_user_error(data: bytes) -> None:
    with pytest.raises(UserError, match="some name"):
        decode_image(b"no" + data, "some name")


def test_zero_bytes_are_called_so() -> None:
    with pytest.raises(UserError, match=r"empty \(0 bytes\)"):
        decode_image(b"", "x")


HEIC = base64.b64decode(  # 24 x 16, the left half (200, 40, 40), the right one (30, 120, 220)
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAA"
    "AAAAACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAAIIAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAA"
    "AA5waXRtAAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNw"
    "AAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPB"
    "iQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAGAAAAAEAAAAQAAAAAf///9gAAAAC"
    "////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAim1kYXQAAAB+KAGvBPIbpU2AcWcJ"
    "GjUERxuyQtV6sDSeSFlz1g6FnSTw/gBQfkMJD1/2i+HiXv4FL9arH7jhpXPWkaXETOeQW1Qjs/QuhH+EkrcLP3ieve596Isc"
    "8qGG63x0b09BoyvCU/bS1N6njkC8af4m1j4aPUKDtPSiTJiGWDMS9/vA"
)


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="pillow-heif is not installed")
def test_a_heic_photo_is_read_where_pillow_heif_is_installed() -> None:
    shown = decode_image(HEIC, "x").astype(int)
    assert shown.shape == (16, 24, 3)
    assert np.abs(shown[8, [3, 20]] - [(200, 40, 40), (30, 120, 220)]).max() <= 6


def test_without_pillow_heif_the_error_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UserError, match=r"a\.heic is HEIC, .*pillow-heif; install it, or convert"):
        decode_image(HEIC, "a.heic")


def png_of(width: int, height: int) -> bytes:
    """A PNG file that ends after the header with its size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    first = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + first + struct.pack(">I", 1000) + b"IDAT"


@pytest.mark.parametrize("decode", [decode_image, decode_mask, image_size])
def test_a_gigapixel_image_is_refused_by_its_header_with_the_fix(
    decode: Callable[[bytes, str], object],
) -> None:
    with pytest.raises(UserError, match=r"scan\.png is 40000x30000, that is 1,200 megapixels.*shrink"):
        decode(png_of(40_000, 30_000), "scan.png")


def test_the_size_is_read_only_from_the_header_and_pillows_own_limit_stays() -> None:
    width = MAX_PIXELS // 10_000
    assert image_size(png_of(width, 10_000), "x") == (width, 10_000)
    with pytest.raises(UserError, match="megapixels"):
        image_size(png_of(width + 1, 10_000), "x")
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(png_of(10_000, 10_000)))


@given(arrays(np.uint8, (3, 4, 4)))
def test_transparency_is_composited_over_white_as_pillow_composes_it(array: np.ndarray) -> None:
    layer = Image.fromarray(array)
    whole = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    found = decode_image(saved(layer), "x").astype(int)
    assert np.abs(found - np.asarray(whole)).max() <= 1
