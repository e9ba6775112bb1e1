"""The image in a DICOM file, as a viewer shows it, and the size of its pixels."""

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
    """Return whether a file that starts with `data` (at least MARK_END bytes) is DICOM (PS3.10, 7.1)."""
    return data[MARK_START:MARK_END] == MARK


def read_dataset(data: bytes, name: str) -> Dataset:
    """Parse the bytes of a DICOM file, its pixel data included.

    Raises:
        UserError: They are not DICOM.
    """
    with needs_extra("dicom"):
        from pydicom import config, dcmread
    config.settings.reading_validation_mode = config.IGNORE  # its warnings quote what may name a patient
    if DEFLATED in data:
        raise UserError(f"{name} is deflated as a whole, which may hide any size; export it another way")
    try:
        dataset = dcmread(io.BytesIO(data))
    except Exception as error:  # pydicom raises errors of many types on damaged bytes
        raise UserError(f"{name} cannot be read as DICOM ({error}); export it again") from error
    if "PixelData" not in dataset:
        raise UserError(f"{name} is DICOM without an image; leave it out")
    return dataset


def dicom_image(dataset: Dataset, name: str) -> Image.Image:
    """Return the image of a DICOM data set in RGB, as a viewer shows it.

    Of several frames the first is taken. Gray goes through the modality and the VOI transformation (PS3.3,
    C.11.1 and C.11.2: the VOI LUT, otherwise the first window, otherwise all stored values from black to
    white), MONOCHROME1 is inverted, YBR and palettes become RGB, and of more than 8 bits per colour the high
    ones are kept.

    Args:
        dataset: With its pixel data.
        name: How errors name the file.

    Raises:
        UserError: The image is not a photograph, is damaged, or no decoder for its compression is installed.
    """
    from pydicom.pixels.utils import pixel_array

    _check_image(dataset, name)
    try:
        return _shown(pixel_array(dataset, index=0), dataset)
    except Exception as error:  # as above
        raise UserError(f"{name} is a damaged or unusual DICOM file ({error}); export it again") from error


def mm_per_pixel(dataset: Dataset) -> float | None:
    """Return the side of a pixel in millimetres; None if it is unknown or pixels are not square within 1 %.

    The first of SPACINGS in the data set counts. PixelSpacing is calibrated or in the patient,
    ImagerPixelSpacing is at the detector, NominalScannedPixelSpacing on a scanned film (PS3.3, 10.7.1,
    C.8.11.4, C.8.6.2).
    """
    for keyword in SPACINGS:
        found = [float(value) for value in np.ravel(dataset.get(keyword) or ())]
        if len(found) == 2 and all(math.isfinite(value) and value > 0 for value in found):
            between_rows, between_columns = found
            square = abs(between_rows - between_columns) <= SQUARE * between_rows
            return (between_rows + between_columns) / 2 if square else None
    return None


def gray_table(dataset: Dataset) -> Pixels:
    """Return the shown value, 0 (black) to 255, of each gray value that can be stored, from the lowest."""
    from pydicom.pixels.processing import apply_modality_lut

    lowest, count = _stored_range(dataset)
    values = apply_modality_lut(np.arange(lowest, lowest + count), dataset).astype(np.float64)
    shown = _voi(values, dataset)
    dark_is_high = dataset.PhotometricInterpretation == "MONOCHROME1"
    return np.rint(255 * (1 - shown if dark_is_high else shown)).astype(np.uint8)


def _check_image(dataset: Dataset, name: str) -> None:
    """Raise UserError unless the image is of a known kind and can be decoded here."""
    from pydicom.pixels.decoders.base import get_decoder

    check_size(dataset.get("Columns") or 0, dataset.get("Rows") or 0, name)
    kind, bits = dataset.get("PhotometricInterpretation"), dataset.get("BitsStored")
    if kind not in (*COLOURS, *GRAYS, "PALETTE COLOR") or (kind in GRAYS and bits > DEEPEST):
        raise UserError(f"{name} holds {kind} of {bits} bits, which is not a photograph; leave it out")
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and not get_decoder(syntax).is_available:
        raise UserError(
            f"{name} is compressed as {syntax.name}, for which no decoder is installed; "
            "decompress it, for example with dcmdjpeg, dcmdjpls or gdcmconv --raw"
        )
    if syntax.is_encapsulated:
        _check_frame(dataset, name)


def _check_frame(dataset: Dataset, name: str) -> None:
    """Raise UserError if the first frame, where Pillow can read it, has another size than the header."""
    from pydicom.encaps import generate_frames

    declared = (dataset.get("Columns"), dataset.get("Rows"))
    try:
        frames = generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
        with Image.open(io.BytesIO(next(frames))) as frame:
            size = frame.size
    except UnidentifiedImageError:
        return
    except Exception as error:  # as above
        raise UserError(f"{name} is a damaged or unusual DICOM file ({error}); export it again") from error
    if size != declared:
        raise UserError(
            f"{name} holds an image of {size[0]}x{size[1]}, "
            f"but its header declares {declared[0]}x{declared[1]}; export it again"
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
    """Look up stored values row by row, since numpy converts each index to eight bytes."""
    lowest, _ = _stored_range(dataset)
    rows = [np.take(table, row.astype(np.intp) - lowest, mode="clip") for row in stored]
    return np.stack(rows)


def _high_bits(colours: Stored, bits: int) -> Pixels:
    found = colours if bits <= 8 else np.right_shift(colours, bits - 8)
    return np.ascontiguousarray(found, dtype=np.uint8)


def _stored_range(dataset: Dataset) -> tuple[int, int]:
    """Return the lowest value that can be stored, and how many there are."""
    count = 2 ** int(dataset.BitsStored)
    return (-count // 2 if dataset.PixelRepresentation else 0), count


def _voi(values: Shown, dataset: Dataset) -> Shown:
    """Return values between 0 (black) and 1 by the VOI LUT, else the first window, else their own range."""
    from pydicom.pixels.processing import apply_voi, apply_windowing

    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return np.asarray(apply_voi(np.rint(values).astype(np.int64), dataset) / (2**bits - 1))
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        dataset.VOILUTFunction = dataset.get("VOILUTFunction") or "LINEAR"
        with np.errstate(over="ignore"):  # far below a sigmoid's centre
            shown = apply_windowing(np.append(values, [-np.inf, np.inf]), dataset)
        black, white = shown[-2:]
        return np.asarray((shown[:-2] - black) / (white - black))
    return np.asarray((values - values.min()) / max(np.ptp(values), 1e-9))
