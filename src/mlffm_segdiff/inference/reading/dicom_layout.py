"""How the pixels of a DICOM image are stored, by its header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.image_formats import MAX_PIXELS, check_size
from mlffm_segdiff.inference.reading.dicom import header_number, header_value

if TYPE_CHECKING:
    from pydicom import Dataset

GRAYS = ("MONOCHROME1", "MONOCHROME2")
PALETTE, HALVED = "PALETTE COLOR", "YBR_FULL_422"
YBR = ("YBR_FULL", HALVED)
COLOURS = ("RGB", *YBR, "YBR_ICT", "YBR_RCT")
DEEPEST = 16


@dataclass(frozen=True)
class PixelLayout:
    """How the first frame is stored.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        samples: Samples per pixel, 1 or 3.
        allocated: Bits per sample in the file.
        stored: Bits per sample that count.
        signed: Whether samples are signed.
        kind: Photometric interpretation.
        planar: Whether colours are stored one after the other.
        frames: Number of frames that the header declares.
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


def pixel_layout(header: Dataset, name: str, most_pixels: int = MAX_PIXELS) -> PixelLayout:
    """Return how the image of a header is stored; what is missing or contradictory is replaced.

    Args:
        header: Data set of the file.
        name: Name in errors.
        most_pixels: Largest number of pixels.

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
