"""Which files to segment, and their pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.cache import resize_pil
from mlffm_segdiff.data.files import decode_pil, image_pixels
from mlffm_segdiff.data.view import view_of
from mlffm_segdiff.inference.dicom import is_dicom, read_dicom, read_header
from mlffm_segdiff.inference.listing import ImageFiles, list_place
from mlffm_segdiff.inference.model import Picture, Pixels
from mlffm_segdiff.inference.pool import large_in_turn
from mlffm_segdiff.inference.sources import Source, case_name, read_source


@dataclass(frozen=True)
class FilePicture:
    """A file that was read. data: its bytes, to write outputs of the picture without keeping all its pixels.

    name: of its results. view: the picture at a size to show and to read colours on, see `view_of`.
    mm_per_pixel: side of a pixel in millimetres where the file tells it.
    """

    source: Source
    name: str
    data: bytes
    picture: Picture
    view: Pixels
    mm_per_pixel: float | None = None


def find_images(*places: str | Path) -> ImageFiles:
    """Return the pictures at all places, see `list_place`, in the order of the places, none twice.

    Raises UserError where a place has none, or where two names differ only in case, folder or ending, so that
    both would write one mask.
    """
    found = [list_place(place) for place in places]
    images = tuple(dict.fromkeys(image for one in found for image in one.images))
    _refuse_shared_names(images)
    return ImageFiles(images, tuple(dict.fromkeys(other for one in found for other in one.others)))


def read_picture(source: Source, size: int) -> FilePicture:
    """Return the source's picture at size x size for the network.

    Raises UserError naming the file if it cannot be read as a picture or is too large.
    """
    return decode_source(source, read_source(source), size)


def decode_source(source: Source, data: bytes, size: int) -> FilePicture:
    """Return the picture in a source's bytes, as `read_picture` does, without reading it."""
    with large_in_turn(_pixels(data, str(source))):
        image, mm_per_pixel = decode_any(data, str(source))
        view = view_of(image)
        picture = Picture(resize_pil(image, size), image.height, image.width, view)
        return FilePicture(source, case_name(source), data, picture, view, mm_per_pixel)


def decode_any(data: bytes, name: str) -> tuple[Image.Image, float | None]:
    """Return the picture in RGB of an image's or a DICOM file's bytes, and its millimetres a pixel if told.

    Raises UserError as `decode_pil` and `read_dicom`.
    """
    return read_dicom(data, name) if is_dicom(data) else (decode_pil(data, name), None)


def check_batch_size(batch_size: int) -> int:
    """Return the batch size. Raises UserError unless it is 1 or more."""
    if batch_size < 1:
        raise UserError(f"batch size {batch_size} is out of range; give 1 or more")
    return batch_size


def _pixels(data: bytes, name: str) -> int:
    if not is_dicom(data):
        return image_pixels(data, name)
    header = read_header(data, name)
    return int(header.get("Rows") or 0) * int(header.get("Columns") or 0)


def _refuse_shared_names(images: Sequence[Source]) -> None:
    seen: dict[str, Source] = {}
    for image in images:
        other = seen.setdefault(case_name(image).casefold(), image)
        if other is not image:
            raise UserError(
                f"{other} and {image} would both write the mask {case_name(other)}.png; "
                "rename one, or give them one by one"
            )
