import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data import image_formats
from mlffm_segdiff.data.files import decode_image, decode_mask, image_size
from mlffm_segdiff.data.image_formats import check_size, decoding_bytes, open_image

RGB = np.asarray(
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((56, 40))
)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "MPO", "TIFF", "BMP", "WEBP", "GIF", "AVIF"])
def test_the_documented_formats_are_read_by_content(kind: str) -> None:
    shown = decode_image(saved(Image.fromarray(RGB), kind), "x.eps").astype(int)
    assert np.abs(shown - RGB).mean() < 12


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
OTHERS = {"EPS": EPS} | {
    kind: saved(Image.fromarray(RGB), kind) for kind in ("PPM", "TGA", "JPEG2000", "PCX", "SGI", "ICO", "PDF")
}


@pytest.mark.parametrize("decode", [decode_image, decode_mask, image_size])
@pytest.mark.parametrize("kind", OTHERS)
def test_no_other_format_is_read_and_no_program_started(
    kind: str, decode: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(subprocess, "Popen", start)
    Image.init()  # Pillow itself would read all of these
    with pytest.raises(UserError, match=r"a\.png is not an image this program can read"):
        decode(OTHERS[kind], "a.png")


def test_pillows_limit_neither_counts_nor_changes_even_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow alone refuses twice as many
    files = [saved(Image.fromarray(RGB), kind) for kind in ("PNG", "JPEG", "TIFF", "BMP")]
    files += [saved(Image.fromarray(RGB), "TIFF", compression=name) for name in ("tiff_lzw", "jpeg")]
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(files[0]))
    with ThreadPoolExecutor(4) as pool:
        shapes = {shown.shape for shown in pool.map(decode_image, files * 5, ["x"] * 30)}
    assert (shapes, Image.MAX_IMAGE_PIXELS) == ({RGB.shape}, 1000)


@pytest.mark.parametrize(
    ("mode", "kind", "options", "expected"),
    [
        ("1", "PNG", {}, 1),
        ("L", "PNG", {}, 1),
        ("P", "PNG", {}, 1),
        ("RGB", "PNG", {}, 4),
        ("RGBA", "PNG", {}, 4),
        ("CMYK", "JPEG", {}, 4),
        ("F", "TIFF", {}, 4),
        ("RGB", "TIFF", {"compression": "tiff_lzw"}, 7),  # the only strip of three bytes a pixel
        ("RGB", "JPEG", {"progressive": True, "subsampling": 0}, 10),  # and two for each coefficient
        ("RGB", "JPEG", {"progressive": True, "subsampling": 2}, 7),  # of colours at half the size
        ("L", "JPEG", {"progressive": True}, 3),
        ("RGB", "WEBP", {}, 16),
    ],
)
def test_the_memory_is_known_from_the_header(
    mode: str, kind: str, options: dict[str, object], expected: int
) -> None:
    image = Image.fromarray(RGB[..., 0] if mode in ("1", "L", "F") else RGB).convert(mode)
    found = decoding_bytes(open_image(io.BytesIO(saved(image, kind, **options))))
    striping = image_formats.striping_bytes(56, 40)
    assert (found - striping) / (56 * 40) == pytest.approx(expected, abs=0.1)


def test_a_jpeg_with_a_scan_for_each_component_counts_as_progressive() -> None:
    whole = saved(Image.fromarray(RGB), "JPEG", subsampling=0)
    scan = whole.index(b"\xff\xda")
    one = whole[:scan] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    sizes = [decoding_bytes(open_image(io.BytesIO(data))) for data in (whole, one)]
    assert sizes[1] - sizes[0] == 6 * 56 * 40


def test_what_needs_too_much_memory_is_refused_before_it_is_decoded() -> None:
    file = io.BytesIO()
    header = Image.new("F", (1, 1))
    header.save(file, "TIFF", compression="tiff_adobe_deflate")
    data = file.getvalue()
    image = open_image(io.BytesIO(data))
    for tag, value in ((256, 13_000), (257, 15_000), (278, 15_000)):
        entry = image.tag_v2.prefix == b"II" and tag.to_bytes(2, "little")
        at = (
            data.index(entry + (4).to_bytes(2, "little"))
            if entry + b"\x04\0" in data
            else data.index(entry + b"\x03\0")
        )
        width = 4 if data[at + 2] == 4 else 2
        data = data[: at + 8] + value.to_bytes(width, "little") + data[at + 8 + width :]
    with pytest.raises(
        UserError, match=r"x\.tif is a TIFF image of 13000x15000 .* 1\.6\d GB .* limit of 1\.30"
    ):
        decode_image(data, "x.tif")


def test_a_large_run_length_bmp_is_refused_and_a_small_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    header = b"BM" + (0).to_bytes(8, "little") + (54 + 8).to_bytes(4, "little")
    info = [(40, 4), (4, 4), (2, 4), (1, 2), (8, 2), (1, 4), (0, 4), (0, 4), (0, 4), (2, 4), (0, 4)]
    palette = bytes([0, 0, 0, 0, 255, 255, 255, 0])
    runs = bytes([2, 0, 2, 1, 0, 0, 4, 1, 0, 1])
    data = header + b"".join(value.to_bytes(size, "little") for value, size in info) + palette + runs
    assert decode_image(data, "x.bmp")[..., 0].tolist() == [[255] * 4, [0, 0, 255, 255]]
    monkeypatch.setattr(image_formats, "SLOW_PIXELS", 7)
    with pytest.raises(UserError, match=r"x\.bmp is a run-length encoded BMP .*; save it as PNG"):
        decode_image(data, "x.bmp")


def test_a_size_without_pixels_is_refused() -> None:
    with pytest.raises(UserError, match=r"x is 0x5, which has no pixels"):
        check_size(0, 5, "x")


@pytest.mark.parametrize("error", [ValueError, TypeError, RecursionError, MemoryError, NotImplementedError])
def test_whatever_a_decoder_raises_is_a_user_error(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error("of\nthe decoder")

    data = saved(Image.fromarray(RGB), "PNG")
    monkeypatch.setattr(Image.Image, "crop", fail)
    with pytest.raises(UserError, match=r"^x\.png .*; .*$") as raised:
        decode_image(data, "x.png")
    assert "\n" not in str(raised.value)


def test_programs_of_the_package_show_no_warning_of_pillow_and_others_keep_theirs(tmp_path: Path) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\xff\x0f\xff\xff\xff\xff" + bytes(4)
    (tmp_path / "a.jpg").write_bytes(saved(Image.fromarray(RGB), "JPEG", exif=exif))
    other = "import sys, pathlib; from mlffm_segdiff.data.files import decode_image as decode; "
    other += "decode(pathlib.Path(sys.argv[1]).read_bytes(), '')"
    ours = "from mlffm_segdiff.data.decoder_warnings import ignore_decoder_warnings as ignore; ignore(); "
    ours += other
    errors = [
        subprocess.run(
            [sys.executable, "-W", "default", "-c", program, tmp_path / "a.jpg"],
            check=True,
            capture_output=True,
            text=True,
        ).stderr
        for program in (ours, other)
    ]
    assert errors[0] == ""
    assert "UserWarning" in errors[1]
