"""Headers of DICOM files as hospitals write them: an invalid value counts as absent."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

MARK, MARK_START, MARK_END = b"DICM", 128, 132
VRS = (b"AE", b"CS", b"DA", b"DT", b"LO", b"PN", b"SH", b"SQ", b"ST", b"TM", b"UI", b"UL", b"US")
FIRST_GROUPS = (b"\x02\0", b"\x08\0")
LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
UNDEFINED_LENGTH = 0xFFFFFFFF
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
SQUARE = 0.01
MIN_SPACING, MAX_SPACING = 1e-6, 1e3
"""Range of the side of a pixel in millimetres; other values are mistakes."""
FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


@dataclass(frozen=True)
class DicomFile:
    """The header of a DICOM file, and where its pixel data are.

    Attributes:
        header: Data set without the pixel data.
        syntax: Transfer syntax; None if the file names none, or none that is known.
        big_endian: Byte order of the data set.
        words: Whether the pixel data are words of 16 bits (VR OW).
        start: Position of the first byte of the pixel data.
        length: Length of the pixel data in bytes; None for encapsulated ones, and where it is undefined.
    """

    header: Dataset
    syntax: UID | None
    big_endian: bool
    words: bool
    start: int
    length: int | None


def is_dicom(data: bytes) -> bool:
    """Return whether a file that starts with `data` (at least MARK_END bytes) is DICOM (PS3.10, 7.1).

    Files without the preamble count if they start with an element of the groups 2 or 8.
    """
    if data[MARK_START:MARK_END] == MARK or data.startswith(MARK):
        return True
    if data[:2] not in FIRST_GROUPS or len(data) < MARK_END:
        return False
    explicit, implicit_length = data[4:6] in VRS, int.from_bytes(data[4:8], "little")
    return explicit or (data[2:4] <= b"\xff\0" and data[3] == 0 and implicit_length < MARK_END)


def read_dicom(file: IO[bytes], name: str) -> DicomFile:
    """Read the header of a DICOM file.

    Raises:
        UserError: It is not DICOM, or has no image.
    """
    with needs_extra("dicom"):
        from pydicom import config, dcmread
    config.settings.reading_validation_mode = config.IGNORE  # its warnings quote what may name a patient
    file.seek(0)
    skipped = len(MARK) if file.read(len(MARK)) == MARK else 0
    file.seek(skipped)
    file = io.BytesIO(file.read()) if skipped else file  # pydicom itself would start at the mark
    try:
        _require_not_deflated(file, name)
        header = dcmread(file, stop_before_pixels=True, force=True)
        header.buffer = None  # it would keep the whole file in memory
        found = _with_pixel_data(header, file, name)
        return replace(found, start=found.start + skipped)
    except UserError:
        raise
    except Exception as error:  # pydicom raises errors of many types on damaged bytes, some quote a value
        raise unusual(name, f"its header cannot be read, {type(error).__name__}") from error


def unusual(name: str, reason: str) -> UserError:
    """Return the error for a file that is damaged, or is written against the standard."""
    return UserError(f"{name} is a damaged or unusual DICOM file ({reason}); export it again")


def header_value(header: Dataset, keyword: str) -> Any:
    """Return the first value of an element as `_of_first_frame` finds it; None if it is empty."""
    value = _of_first_frame(header, keyword)
    if isinstance(value, str | bytes) or not hasattr(value, "__getitem__"):
        return value
    return value[0] if len(value) else None


def _of_first_frame(header: Dataset, keyword: str) -> Any:
    """Return the value of an element, of the first frame's functional groups if it is only there.

    None if it is absent or invalid.
    """
    value = _value(header, keyword)
    for groups in FUNCTIONAL_GROUPS if value is None else ():
        group = next(iter(_value(header, groups) or ()), ())
        for element in _readable(group):
            if element.VR == "SQ" and element.value and value is None:
                value = _value(element.value[0], keyword)
    return value


def header_number(header: Dataset, keyword: str) -> float | None:
    """Return `header_value` as a finite number; None if it is none."""
    try:
        found = float(header_value(header, keyword))
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def mm_per_pixel(header: Dataset) -> float | None:
    """Return the side of a pixel in millimetres; None if it is unknown or pixels are not square within 1 %.

    The first of SPACINGS with a value from MIN_SPACING to MAX_SPACING counts. PixelSpacing is calibrated
    or in the patient, ImagerPixelSpacing is at the detector, NominalScannedPixelSpacing on a scanned film
    (PS3.3, 10.7.1, C.8.11.4, C.8.6.2).
    """
    for keyword in SPACINGS:
        try:
            found = [float(value) for value in np.ravel(_of_first_frame(header, keyword) or ())]
        except (TypeError, ValueError):
            continue
        if len(found) == 2 and all(MIN_SPACING <= value <= MAX_SPACING for value in found):
            between_rows, between_columns = found
            square = abs(between_rows - between_columns) <= SQUARE * between_rows
            return (between_rows + between_columns) / 2 if square else None
    return None


def _require_not_deflated(file: IO[bytes], name: str) -> None:
    """Raise UserError if the whole data set is compressed (PS3.5, A.5), which pydicom would decompress."""
    from pydicom.filereader import _read_file_meta_info, read_preamble  # the public function needs a path
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    opened = cast("BinaryIO", file)
    read_preamble(opened, force=True)
    if _value(_read_file_meta_info(opened), "TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise UserError(
            f"{name} uses the deflated transfer syntax, whose decompressed size is unknown; export it with "
            "another transfer syntax"
        )
    file.seek(0)


def _value(header: Any, keyword: str) -> Any:
    try:
        found = header.get(keyword)
    except Exception:  # an invalid value counts as absent
        return None
    return None if found == "" else found


def _readable(group: Any) -> list[Any]:
    """Return the elements of a data set, as far as they can be read."""
    found = []
    for tag in group.keys() if group else ():
        try:
            found.append(group[tag])
        except Exception:  # as above
            continue
    return found


def _with_pixel_data(header: Dataset, file: IO[bytes], name: str) -> DicomFile:
    """Find the pixel data, at whose element pydicom stopped reading."""
    start = file.read(12)
    implicit, little = header.original_encoding
    order = "little" if little else "big"
    group, element = (int.from_bytes(start[at : at + 2], order) for at in (0, 2))  # type: ignore[arg-type]
    if (group, element) != (0x7FE0, 0x0010):
        raise UserError(f"{name} is DICOM without an image, or damaged before it; leave it out")
    long = not implicit and start[4:6] in LONG_VRS
    length = int.from_bytes(start[8:12] if long else start[4:8], order)  # type: ignore[arg-type]
    value_start = file.tell() - len(start) + (12 if long else 8)
    syntax = _value(getattr(header, "file_meta", None) or {}, "TransferSyntaxUID")
    known = syntax if syntax is not None and syntax.is_transfer_syntax and not syntax.is_private else None
    if syntax is not None and known is None:
        raise UserError(f"{name} has an unknown transfer syntax; export it again, uncompressed or as JPEG")
    if known is None and length == UNDEFINED_LENGTH:
        raise unusual(name, "compressed, but without a transfer syntax")
    return DicomFile(
        header,
        known,
        not little,
        start[4:6] == b"OW",
        value_start,
        None if length == UNDEFINED_LENGTH else length,
    )
