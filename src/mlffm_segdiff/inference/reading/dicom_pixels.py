"""The image in a DICOM file, as a viewer shows it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, Jpeg2KImagePlugin, JpegImagePlugin

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.colour_profile import srgb_conversion
from mlffm_segdiff.data.image_formats import MOST_PIXELS, check_size, decoding_bytes, striping_bytes
from mlffm_segdiff.data.image_rows import STRIPE_PIXELS, ImageRows, Pixels
from mlffm_segdiff.data.memory import require_memory
from mlffm_segdiff.inference.reading.dicom import DicomFile, header_number, header_value, unusual
from mlffm_segdiff.inference.reading.gray_display import WindowError, gray_table, lowest_value

if TYPE_CHECKING:
    from pydicom import Dataset

GRAYS = ("MONOCHROME1", "MONOCHROME2")
PALETTE, HALVED = "PALETTE COLOR", "YBR_FULL_422"
YBR = ("YBR_FULL", HALVED)
COLOURS = ("RGB", *YBR, "YBR_ICT", "YBR_RCT")
DEEPEST = 16
JPEG, JPEG_12, RLE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.5"
RLE_HEADER, RLE_SEGMENTS = 64, 15
CODEC_BYTES = 4
"""Bytes per sample that decoders of JPEG 2000 hold, besides three copies of the samples."""

Stored = npt.NDArray[np.generic]
ReadStored = Callable[[int, int], Stored]


@dataclass(frozen=True)
class PixelLayout:
    """How the first frame is stored.

    Attributes:
        width: In pixels.
        height: In pixels.
        samples: Per pixel, 1 or 3.
        allocated: Bits per sample in the file.
        stored: Bits per sample that count.
        signed: Whether samples are signed.
        kind: Photometric interpretation.
        planar: Whether colours are stored one after the other.
        frames: Number that the header declares.
    """

    width: int
    height: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    kind: str
    planar: bool
    frames: int

    @property
    def sample_count(self) -> int:
        """Samples in the frame."""
        return self.width * self.height * self.samples


def pixel_layout(header: Dataset, name: str, most_pixels: int = MOST_PIXELS) -> PixelLayout:
    """Return how the image of a header is stored; what is missing or contradictory is replaced.

    Args:
        header: Of the file.
        name: How errors name it.
        most_pixels: Largest size.

    Raises:
        UserError: It is too large, or no photograph.
    """
    width, height = (int(header_number(header, keyword) or 0) for keyword in ("Columns", "Rows"))
    check_size(width, height, name, most_pixels)
    samples = 3 if header_number(header, "SamplesPerPixel") == 3 else 1
    allocated = int(header_number(header, "BitsAllocated") or 8)
    stored = min(int(header_number(header, "BitsStored") or allocated), allocated)
    kind = str(header_value(header, "PhotometricInterpretation") or "").strip().upper()
    known = kind if kind in (*GRAYS, *COLOURS, PALETTE, "") else "pixels of another kind"
    if known != kind or allocated not in (1, 8, 16) or not 0 < stored <= DEEPEST:
        raise UserError(f"{name} holds {known} of {stored} bits, which is not a photograph; leave it out")
    if samples == 3 and kind not in COLOURS:
        kind = "RGB"
    elif samples == 1 and kind not in (*GRAYS, PALETTE):
        kind = "MONOCHROME2"
    signed = samples == 1 and header_number(header, "PixelRepresentation") == 1
    planar = header_number(header, "PlanarConfiguration") == 1
    frames = max(1, int(header_number(header, "NumberOfFrames") or 1))
    return PixelLayout(width, height, samples, allocated, stored, signed, kind, planar, frames)


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


def dicom_rows(found: DicomFile, data: bytes, name: str, most_pixels: int = MOST_PIXELS) -> ImageRows:
    """Return the image of a DICOM file as rows of sRGB, as a viewer shows it.

    Of several frames the first is taken. Gray goes through the modality and the VOI transformation (see
    `gray_table`), YBR and palettes become RGB, of more than 8 bits per colour the high ones are kept, and an
    ICC profile is applied.

    Args:
        found: The header.
        data: The whole file.
        name: How errors name the file.
        most_pixels: Largest size.

    Raises:
        UserError: The image is not a photograph, is too large or damaged, or no decoder for its compression
            is installed.
    """
    layout = pixel_layout(found.header, name, most_pixels)
    what = f"a DICOM image of {layout.width}x{layout.height}, {layout.samples}x{layout.allocated} bits"
    require_memory(len(data) + dicom_bytes(found, layout), name, what)
    try:
        read, layout = _frame_rows(found, layout, data, name)
        shown = _display(found.header, layout, read)
    except UserError:
        raise
    except WindowError as error:
        raise unusual(name, str(error)) from error
    except Exception as error:  # decoders raise errors of many types on damaged bytes, some quote a value
        raise unusual(name, f"its pixels cannot be decoded, {type(error).__name__}") from error
    return ImageRows(layout.width, layout.height, lambda top, bottom: shown(read(top, bottom)))


def _frame_rows(
    found: DicomFile, layout: PixelLayout, data: bytes, name: str
) -> tuple[ReadStored, PixelLayout]:
    """Decode the first frame; return what reads its rows, and how they are laid out then."""
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


def _display(header: Dataset, layout: PixelLayout, read: ReadStored) -> Callable[[Stored], Image.Image]:
    """Return what shows stored rows in RGB."""
    if layout.kind in GRAYS:
        used = _used_range(layout, read) if layout.stored > 8 else None
        table = gray_table(header, layout.stored, layout.signed, layout.kind == "MONOCHROME1", used)
        return lambda rows: Image.fromarray(_looked_up(table, rows, layout)).convert("RGB")
    if layout.kind == PALETTE:
        colours = _palette(header, layout.stored)
        return lambda rows: Image.fromarray(_looked_up(colours, rows, layout))
    to_srgb = srgb_conversion(header_value(header, "ICCProfile"), "RGB")

    def show(rows: Stored) -> Image.Image:
        high = _high_bits(_full_colour(rows) if layout.kind == HALVED else rows, layout.stored)
        mode = "YCbCr" if layout.kind in YBR else "RGB"
        image = Image.frombytes(mode, (high.shape[1], high.shape[0]), high.tobytes()).convert("RGB")
        return to_srgb(image) if to_srgb else image

    return show


def _used_range(layout: PixelLayout, read: ReadStored) -> tuple[int, int]:
    """Return the lowest and the highest stored value."""
    rows = max(1, STRIPE_PIXELS // layout.width)
    stripes = (_values(read(top, top + rows), layout) for top in range(0, layout.height, rows))
    lows, highs = zip(*((stripe.min(), stripe.max()) for stripe in stripes), strict=True)
    return int(min(lows)), int(max(highs))


def _values(rows: Stored, layout: PixelLayout) -> npt.NDArray[np.int32]:
    """Return stored values without unused high bits."""
    unused = 8 * rows.dtype.itemsize - layout.stored
    return np.asarray(np.right_shift(np.left_shift(rows, unused), unused), np.int32)


def _looked_up(table: Pixels, rows: Stored, layout: PixelLayout) -> Pixels:
    values = _values(rows, layout)
    return np.take(table, values - lowest_value(layout.stored, layout.signed), axis=0, mode="clip")


def _palette(header: Dataset, bits: int) -> Pixels:
    from pydicom.pixels.processing import apply_color_lut

    colours = apply_color_lut(np.arange(2**bits).reshape(1, -1), header)[0, :, :3]
    return _high_bits(colours, header.RedPaletteColorLookupTableDescriptor[2])


def _full_colour(rows: Stored) -> Stored:
    """Return pixels of which two and two share their colour, as Y Y Cb Cr, with three samples each."""
    luma = rows[..., :2].reshape(len(rows), -1)
    return np.stack([luma, *(np.repeat(rows[..., at], 2, axis=1) for at in (2, 3))], axis=-1)


def _high_bits(colours: Stored, bits: int) -> Pixels:
    found = colours if bits <= 8 else np.right_shift(colours, bits - 8)
    return np.ascontiguousarray(found, dtype=np.uint8)
