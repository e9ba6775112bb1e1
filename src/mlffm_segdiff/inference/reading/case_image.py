"""One image of any format, reduced to what segmentation, measures and outputs need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.cache import resize_pil
from mlffm_segdiff.data.files import Pixels, decode_pil, image_pixels
from mlffm_segdiff.data.names import utf8_text
from mlffm_segdiff.data.view import view_of
from mlffm_segdiff.inference.pool import large_in_turn
from mlffm_segdiff.inference.reading.dicom import dicom_image, is_dicom, mm_per_pixel, read_dataset
from mlffm_segdiff.inference.reading.image_source import Source, case_name, read_source
from mlffm_segdiff.inference.reading.listing import ImageFiles, list_place

if TYPE_CHECKING:
    from pydicom import Dataset

KEPT_PIXELS = 2_000_000
"""Images with at most this many pixels stay decoded while an output needs them: 6 MB each."""


@dataclass(frozen=True)
class CaseImage:
    """One image; its full-size pixels are kept only if an output needs them and they are few.

    Attributes:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        network_input: SxSx3 uint8 RGB, resized as the training images were.
        view: hxwx3 uint8 RGB, no side above `VIEW_SIDE`, to show and to measure colours on. Without it,
            neither a second look nor colours are possible.
        name: File name with its extension, as `utf8_text`; empty for an array.
        stem: Name of the output files, without an extension.
        mm_per_pixel: Side of a pixel in millimetres; None if it is unknown.
        header: Data set of a DICOM file without its pixel data.
        pixels: The decoded image, or None.
        data: Bytes of the file, to decode it again; empty unless an output needs the image and ``pixels`` is
            None.
    """

    height: int
    width: int
    network_input: Pixels
    view: Pixels | None = None
    name: str = ""
    stem: str = ""
    mm_per_pixel: float | None = None
    header: Dataset | None = field(default=None, repr=False)
    pixels: Image.Image | None = field(default=None, repr=False)
    data: bytes = field(default=b"", repr=False)

    @cached_property
    def full_size(self) -> Image.Image:
        """The whole image in RGB, decoded again if it was not kept; for the outputs that need it."""
        return self.pixels or _decode(self.data, self.name, None)


def find_images(*places: str | Path) -> ImageFiles:
    """Find the images at several places, in the order of the places, without repetition.

    Args:
        places: As in `list_place`.

    Raises:
        UserError: A place has no image, or two images would write to the same output file because
            their names differ only in case, Unicode normalisation, folder or extension.
    """
    found = [list_place(place) for place in places]
    images = tuple(dict.fromkeys(image for one in found for image in one.images))
    _require_unique_names(images)
    return ImageFiles(images, tuple(dict.fromkeys(other for one in found for other in one.others)))


def read_image(source: Source, size: int, keep: bool = False) -> CaseImage:
    """Read and decode an image.

    Args:
        source: Where it is.
        size: Side of the network's input in pixels.
        keep: Keep what `CaseImage.full_size` needs.

    Raises:
        UserError: It cannot be read, is not an image, or is too large.
    """
    return decode_case(read_source(source), source, size, keep)


def decode_case(data: bytes, source: Source, size: int, keep: bool = False) -> CaseImage:
    """Decode the bytes of a source, as `read_image` does after reading them."""
    name = str(source)
    header = read_dataset(data, name) if is_dicom(data) else None
    with large_in_turn(_pixel_count(data, name, header)):
        image = _decode(data, name, header)
        if header is not None:
            del header.PixelData
        small = keep and image.width * image.height <= KEPT_PIXELS
        return CaseImage(
            height=image.height,
            width=image.width,
            network_input=resize_pil(image, size),
            view=view_of(image),
            name=utf8_text(source.name),
            stem=case_name(source),
            mm_per_pixel=None if header is None else mm_per_pixel(header),
            header=header,
            pixels=image if small else None,
            data=data if keep and not small else b"",
        )


def array_image(pixels: Pixels, size: int) -> CaseImage:
    """Return an HxWx3 uint8 RGB array as a case."""
    image = Image.fromarray(pixels)
    return CaseImage(image.height, image.width, resize_pil(image, size), view_of(image))


def _decode(data: bytes, name: str, header: Dataset | None) -> Image.Image:
    if is_dicom(data):
        return dicom_image(header or read_dataset(data, name), name)
    return decode_pil(data, name)


def _pixel_count(data: bytes, name: str, header: Dataset | None) -> int:
    if header is None:
        return image_pixels(data, name)
    return int(header.get("Rows") or 0) * int(header.get("Columns") or 0)


def _require_unique_names(images: Sequence[Source]) -> None:
    seen: dict[str, Source] = {}
    for image in images:
        key = normalize("NFC", normalize("NFD", case_name(image)).casefold())
        other = seen.setdefault(key, image)
        if other is not image:
            raise UserError(
                f"{other} and {image} would both write the mask {case_name(other)}.png; "
                "rename one, or segment them one by one"
            )
