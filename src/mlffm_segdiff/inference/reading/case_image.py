"""One image of any format, reduced to what segmentation, measures and outputs need."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeGuard, TypeVar
from unicodedata import normalize

from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.files import image_size, open_checked, rgb_rows
from mlffm_segdiff.data.image_formats import (
    MAX_PIXELS,
    check_size,
    decoding_bytes,
    has_known_format,
    open_image,
    reported,
)
from mlffm_segdiff.data.image_memory import MAX_MEMORY, reserved
from mlffm_segdiff.data.image_quality import is_blank
from mlffm_segdiff.data.image_rows import ImageRows, Pixels
from mlffm_segdiff.data.view import VIEW_SIDE
from mlffm_segdiff.files.names import utf8_text
from mlffm_segdiff.inference.reading.dicom import MARK_END, is_dicom, mm_per_pixel, read_dicom
from mlffm_segdiff.inference.reading.dicom_frame import dicom_bytes
from mlffm_segdiff.inference.reading.dicom_layout import pixel_layout
from mlffm_segdiff.inference.reading.dicom_pixels import dicom_rows
from mlffm_segdiff.inference.reading.image_source import Source, case_name, first_bytes, read_source
from mlffm_segdiff.inference.reading.listing import ImageFiles, list_place, merged
from mlffm_segdiff.inference.reading.packed import TarMember

if TYPE_CHECKING:
    from pydicom import Dataset

Found = TypeVar("Found")

KEPT_PIXELS = 2_000_000
"""Images with at most this many pixels stay decoded while an output needs them: 6 MB each."""

KEPT_BYTES = 2**24
"""Files of at most this many bytes stay in memory while an output needs them; others are read again."""

MAX_SHOWN_PIXELS = 100_000_000
"""Largest image of which outputs show all pixels; they hold several copies."""

HEADER_BYTES = 2**20
"""Bytes of an archive's member in which the header of an image is expected."""


@dataclass(frozen=True, eq=False)
class CaseImage:
    """One image; its full-size pixels are kept only if an output needs them and they are few.

    Attributes:
        height: Image height in pixels.
        width: Image width in pixels.
        network_input: SxSx3 uint8 RGB, resized as the training images were.
        view: hxwx3 uint8 RGB, no side above `VIEW_SIDE`, to show and to measure colours on. Without it,
            neither a second look nor colours are possible.
        name: File name with its extension, as `utf8_text`; empty for an array.
        stem: Name of the output files, without an extension.
        mm_per_pixel: Side of a pixel in millimetres; None if it is unknown.
        header: Data set of a DICOM file without its pixel data.
        pixels: The decoded image, or None.
        reread: Returns the bytes of the file, to decode it again; None unless an output needs the image and
            ``pixels`` is None.
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
    reread: Callable[[], bytes] | None = field(default=None, repr=False)

    @cached_property
    def full_size(self) -> Image.Image:
        """The whole image in RGB, decoded again if it was not kept; for the outputs that need it.

        Raises UserError if it cannot be read again, or has more than MAX_SHOWN_PIXELS.
        """
        if self.pixels is not None:
            return self.pixels
        assert self.reread is not None
        if self.width * self.height > MAX_SHOWN_PIXELS:
            raise UserError(
                f"{self.name} is {self.width}x{self.height}, above the limit of {MAX_SHOWN_PIXELS / 1e6:g} "
                "megapixels for outputs that show the whole image; shrink it, or leave these outputs out"
            )
        with reported(self.name):
            rows, _ = _decode(self.reread(), self.name, MAX_PIXELS)
            return _without_metadata(rows.whole())


def find_images(*places: str | Path, recursive: bool = False) -> ImageFiles:
    """Find the images at several places, in the order of the places, without repetition.

    Args:
        places: As in `list_place`.
        recursive: Search the subfolders of folders, too.

    Raises:
        UserError: No place is given, a place has no image, or two images would write to the same output
            file because their names differ only in case, Unicode normalisation, folder or extension.
    """
    if not places:
        raise UserError("no images are given; give an image, a folder or a list of them")
    found = merged([list_place(place, recursive) for place in places])
    require_unique_names(found.images)
    return found


def require_unique_names(images: Sequence[Source]) -> None:
    """Raise UserError if two images would write to the same output file; see `find_images`."""
    seen: dict[str, Source] = {}
    for image in images:
        key = normalize("NFC", normalize("NFD", case_name(image)).casefold())
        other = seen.setdefault(key, image)
        if other is not image:
            raise UserError(
                f"{other} and {image} would both write the mask {case_name(other)}.png; "
                "rename one, or segment each folder into an output folder of its own"
            )


def read_image(source: Source, size: int, keep: bool = False) -> CaseImage:
    """Read and decode an image; see `read_unless_found`.

    Args:
        source: Source of the image.
        size: Side of the network's input in pixels.
        keep: Keep what `CaseImage.full_size` needs.

    Raises:
        UserError: It cannot be read, is not an image, is too large, or has one colour only.
    """
    return read_unless_found(source, size, keep, find=lambda _: None)


def read_unless_found(
    source: Source,
    size: int,
    keep: bool,
    find: Callable[[bytes], Found | None],
    most_pixels: int = MAX_PIXELS,
) -> CaseImage | Found:
    """Read an image, and decode it unless its content is known.

    Args:
        source: Source of the image.
        size: Side of the network's input in pixels.
        keep: Keep what `CaseImage.full_size` needs.
        find: Returns what is known about the content of the file, if anything.
        most_pixels: Largest number of pixels.

    Returns:
        What ``find`` returned, or the image.

    Raises:
        UserError: It cannot be read, is not an image, is too large, or has one colour only.
    """
    name = str(source)
    with reported(name):
        if not _is_here(source):
            data = read_source(source)
            found = find(data)
            return decode_case(data, source, size, keep, most_pixels) if found is None else found
        with reserved(_bytes_to_read(source)):
            data = read_source(source)
            if (found := find(data)) is not None:
                return found
            reread = (lambda: data) if len(data) <= KEPT_BYTES else partial(read_source, source)
            return _case(data, source, size, most_pixels, reread if keep else None)


def decode_case(
    data: bytes, source: Source, size: int, keep: bool = False, most_pixels: int = MAX_PIXELS
) -> CaseImage:
    """Decode the bytes of a source, as `read_image` does after reading them.

    Args:
        data: Content of the file.
        source: Source of the bytes.
        size: Side of the network's input in pixels.
        keep: Keep what `CaseImage.full_size` needs.
        most_pixels: Largest number of pixels.
    """
    name = str(source)
    with reported(name), reserved(_bytes_to_decode(io.BytesIO(data), name)):
        return _case(data, source, size, most_pixels, (lambda: data) if keep else None)


def pixel_count(data: bytes, name: str) -> int:
    """Return the number of pixels of an image file by its header.

    Args:
        data: Content of the file.
        name: Name of the file in errors.

    Raises:
        UserError: As `read_image`.
    """
    with reported(name):
        if is_dicom(data[:MARK_END]):
            layout = pixel_layout(read_dicom(io.BytesIO(data), name).header, name)
            return layout.width * layout.height
        width, height = image_size(data, name)
        return width * height


def pil_image(image: Image.Image, size: int, name: str) -> CaseImage:
    """Return a Pillow image as a case, as `read_image` reads its file: upright, sRGB, over white.

    Raises:
        UserError: It cannot be decoded, or is too large.
    """
    with reported(name):
        check_size(image.width, image.height, name)
        rows = rgb_rows(image, name)
        return CaseImage(rows.height, rows.width, rows.resized(size), rows.shrunk(VIEW_SIDE))


def array_image(pixels: Pixels, size: int) -> CaseImage:
    """Return an HxWx3 uint8 RGB array as a case."""
    return pil_image(Image.fromarray(pixels), size, "the array")


def require_contrast(image: CaseImage, name: str) -> CaseImage:
    """Return the image. Raises UserError if it has one colour only, where a mask would be made up."""
    if is_blank(image.network_input) and (image.view is None or is_blank(image.view)):
        raise UserError(f"{name} has one colour only, so no lesion can be found in it; use another image")
    return image


def _case(
    data: bytes, source: Source, size: int, most_pixels: int, reread: Callable[[], bytes] | None
) -> CaseImage:
    name = str(source)
    rows, header = _decode(data, name, most_pixels)
    small = reread is not None and rows.width * rows.height <= KEPT_PIXELS
    image = CaseImage(
        height=rows.height,
        width=rows.width,
        network_input=rows.resized(size),
        view=rows.shrunk(VIEW_SIDE),
        name=utf8_text(source.name),
        stem=case_name(source),
        mm_per_pixel=None if header is None else mm_per_pixel(header),
        header=header,
        pixels=_without_metadata(rows.whole()) if small else None,
        reread=None if small else reread,
    )
    return require_contrast(image, name)


def _decode(data: bytes, name: str, most_pixels: int) -> tuple[ImageRows, Dataset | None]:
    if is_dicom(data[:MARK_END]):
        found = read_dicom(io.BytesIO(data), name)
        return dicom_rows(found, data, name, most_pixels), found.header
    return rgb_rows(open_checked(data, name, most_pixels), name), None


def _is_here(source: Source) -> TypeGuard[Path | Entry | TarMember]:
    """Return whether a source is a file on this machine, or a member of one."""
    in_tar = isinstance(source, TarMember) and isinstance(source.archive, Path)
    return in_tar or isinstance(source, Path | Entry)


def _bytes_to_read(source: Path | Entry | TarMember) -> int:
    """Return the memory for a file and its image by its header; 0 if it cannot be opened."""
    entry = Entry(source) if isinstance(source, Path) else source
    try:
        size = entry.size()
        if isinstance(entry, Entry) and entry.member is None:
            header: IO[bytes] = entry.path.open("rb")
        else:
            header = io.BytesIO(first_bytes(entry, HEADER_BYTES))
    except (OSError, KeyError, UserError):
        return 0
    with header as file:
        return size + _bytes_to_decode(file, str(source))


def _bytes_to_decode(file: IO[bytes], name: str) -> int:
    """Return the memory for decoding an image; all there is if its header is damaged, or not in the file.

    Raises:
        UserError: It is of no known format.
    """
    start = file.read(MARK_END)
    try:
        if is_dicom(start):
            found = read_dicom(file, name)
            return dicom_bytes(found, pixel_layout(found.header, name))
        file.seek(0)
        return decoding_bytes(open_image(file))
    except Exception:  # decoding reports what is wrong
        if start and not is_dicom(start) and not has_known_format(start):
            raise
        return MAX_MEMORY


def _without_metadata(image: Image.Image) -> Image.Image:
    image.info.clear()
    return image
