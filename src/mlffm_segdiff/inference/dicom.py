"""A DICOM file's picture, as a viewer shows it, and what a pixel measures."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.data.files import Pixels, check_size

if TYPE_CHECKING:
    from pydicom import Dataset

DEFLATED = b"1.2.840.10008.1.2.1.99"
"""The transfer syntax whose whole data set is compressed (PS3.5, A.5)."""
MARK, MARK_START, MARK_END = b"DICM", 128, 132
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
SQUARE = 0.01
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
GRAYS = ("MONOCHROME1", "MONOCHROME2")
DEEPEST = 16

Stored = npt.NDArray[np.generic]
Shown = npt.NDArray[np.float64]


def is_dicom(data: bytes) -> bool:
    """Whether a file that begins with `data`, MARK_END bytes or more of it, is DICOM (PS3.10, 7.1)."""
    return data[MARK_START:MARK_END] == MARK


def read_dicom(data: bytes, name: str) -> tuple[Image.Image, float | None]:
    """Return the picture in RGB of a DICOM file's bytes, and the millimetres a pixel where they are told.

    Of several frames the first is taken. Gray goes through the modality and the VOI transformation (PS3.3,
    C.11.1 and C.11.2: the VOI LUT, else the first window, else all stored values from black to white),
    MONOCHROME1 is turned round, YBR and palettes become RGB, more than 8 bits a colour keep the high ones.
    `name` names the file in errors.
    Raises UserError if the bytes hold no picture, are damaged, or are compressed in a way for which no
    decoder is installed.
    """
    with needs_extra("dicom"):
        from pydicom.pixels.utils import pixel_array
    dataset = read_header(data, name, pixels=True)
    _check_picture(dataset, name)
    try:
        return _shown(pixel_array(dataset, index=0), dataset), mm_per_pixel(dataset)
    except Exception as error:  # pydicom's decoders raise many kinds on damaged bytes
        raise UserError(f"{name} is a damaged or unusual DICOM file ({error}); export it anew") from error


def read_header(data: bytes, name: str, pixels: bool = False) -> Dataset:
    """Return the data set of a DICOM file's bytes, its pixel data too where `pixels` says so.

    Raises UserError if they are none.
    """
    with needs_extra("dicom"):
        from pydicom import config, dcmread
    config.settings.reading_validation_mode = config.IGNORE  # its warnings quote what may name a patient
    if DEFLATED in data:
        raise UserError(f"{name} is deflated as a whole, which may hide any size; export it another way")
    try:
        return dcmread(io.BytesIO(data), stop_before_pixels=not pixels)
    except Exception as error:  # as above
        raise UserError(f"{name} cannot be read as DICOM ({error}); export it anew") from error


def mm_per_pixel(dataset: Dataset) -> float | None:
    """Return the millimetres a pixel by the first of SPACINGS that the data set has; None where none serves.

    PixelSpacing is calibrated or in the patient, ImagerPixelSpacing holds at the detector,
    NominalScannedPixelSpacing on a scanned film (PS3.3, 10.7.1, C.8.11.4, C.8.6.2). Pixels that are not
    square, by more than 1 %, serve no length: None.
    """
    for keyword in SPACINGS:
        found = [float(value) for value in np.ravel(dataset.get(keyword) or ())]
        if len(found) == 2 and all(math.isfinite(value) and value > 0 for value in found):
            between_rows, between_columns = found
            square = abs(between_rows - between_columns) <= SQUARE * between_rows
            return (between_rows + between_columns) / 2 if square else None
    return None


def gray_table(dataset: Dataset) -> Pixels:
    """Return what is shown, 0 (black) to 255, of each gray value that can be stored, from the lowest on."""
    from pydicom.pixels.processing import apply_modality_lut

    lowest, count = _stored_range(dataset)
    values = apply_modality_lut(np.arange(lowest, lowest + count), dataset).astype(np.float64)
    shown = _voi(values, dataset)
    dark_is_high = dataset.PhotometricInterpretation == "MONOCHROME1"
    return np.rint(255 * (1 - shown if dark_is_high else shown)).astype(np.uint8)


def windowed(values: Shown, center: float, width: float, function: str) -> Shown:
    """Return values between 0 and 1 through a window: LINEAR, LINEAR_EXACT or SIGMOID (PS3.3, C.11.2.1.2-3).

    Raises ValueError for a width too small, or another function.
    """
    if function == "SIGMOID" and width > 0:
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))))
    if function == "LINEAR" and width == 1:
        return (values > center - 0.5).astype(np.float64)
    if function == "LINEAR" and width > 1:
        center, width = center - 0.5, width - 1
    elif not (function == "LINEAR_EXACT" and width > 0):
        raise ValueError(f"window {function} of width {width}")
    return np.clip((values - center) / width + 0.5, 0, 1)


def _check_picture(dataset: Dataset, name: str) -> None:
    """Raise UserError unless there is a picture of a kind that is known and can be decoded here."""
    from pydicom.pixels.decoders.base import get_decoder

    if "PixelData" not in dataset:
        raise UserError(f"{name} is DICOM without a picture; leave it out")
    check_size(dataset.get("Columns") or 0, dataset.get("Rows") or 0, name)
    kind, bits = dataset.get("PhotometricInterpretation"), dataset.get("BitsStored")
    if kind not in (*COLOURS, *GRAYS, "PALETTE COLOR") or (kind in GRAYS and bits > DEEPEST):
        raise UserError(f"{name} holds {kind} of {bits} bits, which is no photograph; leave it out")
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and not get_decoder(syntax).is_available:
        raise UserError(
            f"{name} is compressed as {syntax.name}, for which no decoder is installed; "
            "decompress it, for example with dcmdjpeg, dcmdjpls or gdcmconv --raw"
        )
    if syntax.is_encapsulated:
        _check_frame(dataset, name)


def _check_frame(dataset: Dataset, name: str) -> None:
    """Raise UserError where the first frame, if Pillow knows its kind, has another size than the header."""
    from pydicom.encaps import generate_frames

    said = (dataset.get("Columns"), dataset.get("Rows"))
    try:
        frames = generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
        with Image.open(io.BytesIO(next(frames))) as frame:
            size = frame.size
    except UnidentifiedImageError:
        return
    except Exception as error:  # pydicom raises many kinds on damaged bytes
        raise UserError(f"{name} is a damaged or unusual DICOM file ({error}); export it anew") from error
    if size != said:
        raise UserError(
            f"{name} holds a picture of {size[0]}x{size[1]}, and says {said[0]}x{said[1]}; export it anew"
        )


def _shown(stored: Stored, dataset: Dataset) -> Image.Image:
    from pydicom.pixels.processing import apply_color_lut

    if dataset.PhotometricInterpretation in GRAYS:
        return Image.fromarray(_through(gray_table(dataset), stored, dataset)).convert("RGB")
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(stored, dataset)[..., :3]
        return Image.fromarray(_high_bits(colours, dataset.RedPaletteColorLookupTableDescriptor[2]))
    return Image.fromarray(_high_bits(stored, dataset.BitsStored))


def _through(table: Pixels, stored: Stored, dataset: Dataset) -> Pixels:
    """Row by row: numpy makes eight bytes of each index."""
    lowest, _ = _stored_range(dataset)
    rows = [np.take(table, row.astype(np.intp) - lowest, mode="clip") for row in stored]
    return np.stack(rows)


def _high_bits(colours: Stored, bits: int) -> Pixels:
    found = colours if bits <= 8 else np.right_shift(colours, bits - 8)
    return np.ascontiguousarray(found, dtype=np.uint8)


def _stored_range(dataset: Dataset) -> tuple[int, int]:
    """The lowest value that can be stored, and how many there are."""
    count = 2 ** int(dataset.BitsStored)
    return (-count // 2 if dataset.PixelRepresentation else 0), count


def _voi(values: Shown, dataset: Dataset) -> Shown:
    """Values between 0 (black) and 1 by the VOI LUT, else the first window, else their own range."""
    from pydicom.pixels.processing import apply_voi

    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return np.asarray(apply_voi(np.rint(values).astype(np.int64), dataset) / (2**bits - 1))
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        center, width = (_first(dataset[keyword].value) for keyword in ("WindowCenter", "WindowWidth"))
        return windowed(values, center, width, dataset.get("VOILUTFunction") or "LINEAR")
    return np.asarray((values - values.min()) / max(np.ptp(values), 1e-9))


def _first(values: object) -> float:
    return float(np.ravel(np.asarray(values, dtype=np.float64))[0])
