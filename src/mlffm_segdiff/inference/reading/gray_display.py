"""How grey values of DICOM images are shown: modality and VOI transformation (PS3.3, C.11.1, C.11.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.data.image_rows import Pixels
from mlffm_segdiff.inference.reading.dicom import header_number, header_value

if TYPE_CHECKING:
    from pydicom import Dataset

SPARSE = 8

Shown = npt.NDArray[np.float64]


class WindowError(ValueError):
    """A window or VOI LUT that the standard does not allow."""


def gray_table(
    header: Dataset, bits: int, signed: bool, dark_is_high: bool, used: tuple[int, int] | None = None
) -> Pixels:
    """Return the shown value, 0 (black) to 255, of each grey value that can be stored, from the lowest.

    The VOI LUT counts, otherwise the first window, otherwise all stored values go from black to white; only
    those that the image uses if they are less than 1/SPARSE of them, such as 12 bits stored as 16.

    Args:
        header: Data set with the transformations; invalid numbers in it count as absent.
        bits: Bits of a stored value, at most 16.
        signed: Whether stored values are signed.
        dark_is_high: Whether the image is MONOCHROME1.
        used: Lowest and highest stored value of the image, if they are known.

    Raises:
        WindowError: The window or VOI LUT is impossible.
    """
    lowest = lowest_value(bits, signed)
    values = _modality(np.arange(lowest, lowest + 2**bits), header)
    if used is not None and 0 < used[1] - used[0] < 2**bits // SPARSE:
        ends = values[[used[0] - lowest, used[1] - lowest]]
    else:
        ends = values[[0, -1]]
    shown = _voi(values, header, float(ends.min()), float(ends.max()))
    return np.rint(255 * (1 - shown if dark_is_high else shown)).astype(np.uint8)


def lowest_value(bits: int, signed: bool) -> int:
    """Return the lowest value that can be stored."""
    return -(2 ** (bits - 1)) if signed else 0


def _modality(values: npt.NDArray[np.int64], header: Dataset) -> Shown:
    from pydicom.pixels.processing import apply_modality_lut

    if header_value(header, "ModalityLUTSequence") is not None:
        return apply_modality_lut(values, header).astype(np.float64)
    slope, intercept = header_number(header, "RescaleSlope"), header_number(header, "RescaleIntercept")
    return np.asarray(values * (slope or 1.0) + (intercept or 0.0), np.float64)


def _voi(values: Shown, header: Dataset, black: float, white: float) -> Shown:
    """Return values between 0 and 1 by the VOI LUT, else the first window, else from black to white."""
    from pydicom.pixels.processing import apply_voi

    table = header_value(header, "VOILUTSequence")
    if table is not None:
        bits = int(table.LUTDescriptor[2])
        return np.asarray(apply_voi(np.rint(values).astype(np.int64), header) / (2**bits - 1))
    center, width = header_number(header, "WindowCenter"), header_number(header, "WindowWidth")
    if center is not None and width is not None:
        return _windowed(values, center, width, header_value(header, "VOILUTFunction") or "LINEAR")
    return np.clip((values - black) / max(white - black, 1e-9), 0, 1)


def _windowed(values: Shown, center: float, width: float, function: str) -> Shown:
    """Return values through a window, between 0 and 1 (PS3.3, C.11.2.1.2.1 and C.11.2.1.3)."""
    if function == "SIGMOID" and width > 0:
        with np.errstate(over="ignore"):  # far below the centre
            return np.asarray(1 / (1 + np.exp(-4 * (values - center) / width)))
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((values - center) / width + 0.5, 0, 1)
    if function == "LINEAR" and width >= 1:
        if width == 1:
            return np.asarray(values > center - 0.5, np.float64)
        return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    raise WindowError(f"its window of width {width:g} or its VOI function is not allowed")
