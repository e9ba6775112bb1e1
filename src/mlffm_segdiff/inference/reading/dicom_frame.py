"""The first frame of a DICOM file, decoded from its transfer syntax to stored values."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, Jpeg2KImagePlugin, JpegImagePlugin

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.image_formats import decoding_bytes, striping_bytes
from mlffm_segdiff.data.image_memory import require_memory
from mlffm_segdiff.data.image_rows import STRIPE_PIXELS
from mlffm_segdiff.inference.reading.dicom import DicomFile, unusual
from mlffm_segdiff.inference.reading.dicom_layout import GRAYS, HALVED, YBR, PixelLayout

JPEG, JPEG_12, RLE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.5"
RLE_HEADER, RLE_SEGMENTS = 64, 15
CODEC_BYTES = 4
"""Bytes per sample that decoders of JPEG 2000 hold, besides three copies of the samples."""

Stored = npt.NDArray[np.generic]
ReadStored = Callable[[int, int], Stored]


def dicom_bytes(found: DicomFile, layout: PixelLayout) -> int:
    """Return the memory that the image of a DICOM file takes while it is decoded, without the file."""
    size = layout.sample_count * -(-layout.allocated // 8)
    pixels = layout.width * layout.height
    if found.syntax is None or not found.syntax.is_encapsulated:
        held = layout.sample_count if layout.allocated == 1 or found.big_endian else 0
    elif found.syntax == RLE:
        held = size + 2 * pixels
    elif found.syntax in (JPEG, JPEG_12):
        held = layout.sample_count + 4 * pixels
    else:
        held = CODEC_BYTES * layout.sample_count + 3 * size
    return held + striping_bytes(layout.width, layout.height)


def frame_rows(
    found: DicomFile, layout: PixelLayout, data: bytes, name: str
) -> tuple[ReadStored, PixelLayout]:
    """Decode the first frame; return the reader of its rows, and their layout after decoding."""
    if found.syntax is None or not found.syntax.is_encapsulated:
        return _native(found, layout, data, name)
    frame = _first_frame(found, layout, data)
    if found.syntax == RLE:
        planes = np.moveaxis(_run_lengths(frame, layout, name), 0, -1)
        return (lambda top, bottom: _squeezed(planes[top:bottom])), layout
    if found.syntax == JPEG or (found.syntax == JPEG_12 and layout.stored == 8):
        return _jpeg(frame, layout, name)
    return _by_pydicom(found, frame, layout, name)


def _native(found: DicomFile, layout: PixelLayout, data: bytes, name: str) -> tuple[ReadStored, PixelLayout]:
    available = len(data) - found.start if found.length is None else found.length
    available = min(available, len(data) - found.start)
    pixels, width = layout.width * layout.height, layout.allocated // 8
    if layout.kind == HALVED and available - 3 * pixels * width * layout.frames in (0, 1):
        layout = replace(layout, kind="RGB")  # all samples are there: decompressed, but labelled as before
    halved = layout.kind == HALVED
    count = 2 * pixels if halved else layout.sample_count
    needed = -(-count * layout.allocated // 8)
    if available < needed or (halved and layout.width % 2):
        raise unusual(name, f"it has {max(available, 0)} bytes of pixels instead of {needed}")
    stored = memoryview(data)[found.start : found.start + needed]
    if layout.allocated == 1:
        values: Stored = np.unpackbits(np.frombuffer(stored, np.uint8), bitorder="little", count=count)
    else:
        order, sign = ">" if found.big_endian else "<", "i" if layout.signed else "u"
        values = np.frombuffer(stored, f"{order}{sign}{width}")
    if found.big_endian and found.words and layout.allocated == 8:
        values = values[: count // 2 * 2].reshape(-1, 2)[:, ::-1].ravel()
    shaped = _shaped(values, layout)
    return (lambda top, bottom: _squeezed(shaped[top:bottom])), layout


def _shaped(values: Stored, layout: PixelLayout) -> Stored:
    """Return samples as H x W x samples; two pixels that share their colour as H x W/2 x 4."""
    if layout.kind == HALVED:
        return values.reshape(layout.height, -1, 4)
    if layout.samples == 3 and layout.planar:
        return np.moveaxis(values.reshape(3, layout.height, layout.width), 0, -1)
    return values.reshape(layout.height, layout.width, layout.samples)


def _squeezed(rows: Stored) -> Stored:
    return rows[..., 0] if rows.shape[-1] == 1 else rows


def _first_frame(found: DicomFile, layout: PixelLayout, data: bytes) -> bytes:
    from pydicom.encaps import generate_frames

    file = io.BytesIO(data)
    file.seek(found.start)
    return next(generate_frames(file, number_of_frames=layout.frames))


def _run_lengths(frame: bytes, layout: PixelLayout, name: str) -> Stored:
    """Decode RLE (PS3.5, annex G) to samples x H x W, by Pillow's decoder, since pydicom's is in Python."""
    size, pixels = layout.allocated // 8, layout.width * layout.height
    count = layout.samples * size
    numbers = np.frombuffer(frame[:RLE_HEADER], "<u4").tolist()
    if len(numbers) <= RLE_SEGMENTS or numbers[0] != count:
        raise unusual(name, "its run-length segments do not match its header")
    planes = np.empty(
        (layout.samples, layout.height, layout.width), f"<{'i' if layout.signed else 'u'}{size}"
    )
    byte_planes = planes.view(np.uint8).reshape(layout.samples, pixels, size)
    ends = [*numbers[2 : count + 1], len(frame)]
    for number, (start, end) in enumerate(zip(numbers[1 : count + 1], ends, strict=True)):
        segment = Image.frombytes("L", (pixels, 1), frame[start:end], "packbits", "L")
        sample, significance = divmod(number, size)  # the most significant byte comes first
        for left in range(0, pixels, STRIPE_PIXELS):
            right = min(left + STRIPE_PIXELS, pixels)
            part = np.asarray(segment.crop((left, 0, right, 1)))[0]
            byte_planes[sample, left:right, size - 1 - significance] = part
    return planes


def _jpeg(frame: bytes, layout: PixelLayout, name: str) -> tuple[ReadStored, PixelLayout]:
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(frame))
    _require_declared_size(image.size, layout, name)
    require_memory(len(frame) + decoding_bytes(image), name, "a large JPEG image in DICOM")
    bands = len(image.getbands())
    if bands not in (1, 3):
        raise unusual(name, f"its JPEG image has {bands} colours")
    if bands == 3 and layout.kind == "RGB" and _may_be_rgb(image):
        image.draft("YCbCr", image.size)  # libjpeg's default, from which it would convert
    image.load()
    kind = "RGB" if bands == 3 else layout.kind if layout.kind in GRAYS else "MONOCHROME2"

    def read(top: int, bottom: int) -> Stored:
        return np.asarray(image.crop((0, top, layout.width, min(bottom, layout.height))))

    return read, replace(layout, samples=bands, allocated=8, stored=8, signed=False, kind=kind)


def _may_be_rgb(image: JpegImagePlugin.JpegImageFile) -> bool:
    """Return whether no marker of a JPEG image, nor a reduced colour resolution, says that it is YCbCr."""
    marked = "adobe_transform" in image.info or "jfif" in image.info
    identifiers = bytes(component[0] for component in image.layer)
    halved = len({component[1:3] for component in image.layer}) > 1
    return not (marked or halved or identifiers == b"RGB")


def _by_pydicom(
    found: DicomFile, frame: bytes, layout: PixelLayout, name: str
) -> tuple[ReadStored, PixelLayout]:
    """Decode JPEG 2000 and JPEG-LS."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    assert found.syntax is not None
    decoder = get_decoder(found.syntax) if _is_supported(found) else None
    if decoder is None or not decoder.is_available or found.syntax == JPEG_12:
        raise UserError(
            f"{name} is compressed as {found.syntax.name}, for which no decoder is installed; "
            "decompress it, for example with dcmdjpeg, dcmdjpls or gdcmconv --raw"
        )
    _require_declared_size(_codestream_size(frame), layout, name)
    options: dict[str, Any] = {
        "rows": layout.height,
        "columns": layout.width,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.signed),
        "photometric_interpretation": layout.kind,
        "planar_configuration": 0,
        "number_of_frames": 1,
    }
    array, properties = decoder.as_array(encapsulate([frame]), index=0, raw=True, **options)
    kind = str(properties["photometric_interpretation"])
    return (lambda top, bottom: array[top:bottom]), replace(layout, kind="YBR_FULL" if kind in YBR else kind)


def _is_supported(found: DicomFile) -> bool:
    from pydicom.pixels.decoders.base import get_decoder

    try:
        return bool(get_decoder(found.syntax or ""))
    except NotImplementedError:
        return False


def _codestream_size(frame: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG 2000 or JPEG-LS image. Raises SyntaxError without its header."""
    start_of_frame = frame.find(b"\xff\xf7", 0, 4096)  # JPEG-LS
    if frame.startswith(b"\xff\xd8") and start_of_frame > 0:
        sizes = frame[start_of_frame + 5 : start_of_frame + 9]
        return int.from_bytes(sizes[2:], "big"), int.from_bytes(sizes[:2], "big")
    return Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(frame)).size


def _require_declared_size(size: tuple[int, int], layout: PixelLayout, name: str) -> None:
    if size != (layout.width, layout.height):
        raise UserError(
            f"{name} holds an image of {size[0]}x{size[1]}, but its header declares "
            f"{layout.width}x{layout.height}; export it again"
        )
