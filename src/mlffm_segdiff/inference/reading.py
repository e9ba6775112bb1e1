"""Which files to segment, and their pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.cache import resize_picture
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.files import decode_picture
from mlffm_segdiff.data.folder import PICTURES
from mlffm_segdiff.inference.measures.colour import view_of
from mlffm_segdiff.inference.model import Picture, Pixels


@dataclass(frozen=True)
class FilePicture:
    """A file that was read. data: its bytes, to draw the overlay on without keeping all its pixels.

    view: the picture at a size to show and to read colours on, see `view_of`.
    """

    path: Path
    data: bytes
    picture: Picture
    view: Pixels


@dataclass(frozen=True)
class ImageFiles:
    """images: what to segment, by name. others: files left alone, as their ending is no picture's."""

    images: tuple[Path, ...]
    others: tuple[Path, ...] = ()


def find_images(source: Path) -> ImageFiles:
    """Return the file itself, or the pictures directly in a folder, sorted by name; hidden ones left out.

    Raises UserError where there is nothing, or where two names differ only in case or ending, so that both
    would write one mask.
    """
    source = source.expanduser()
    if source.is_file():
        return ImageFiles((source,))
    try:
        files = sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise UserError(
            f"{source} cannot be read ({error.strerror}); give an image file or a folder of images"
        ) from error
    images = tuple(path for path in files if _is_picture(path))
    if not images:
        raise UserError(f"no pictures directly in {source}; {_hint(source)}")
    _refuse_shared_names(images)
    return ImageFiles(images, tuple(path for path in files if not _is_picture(path)))


def read_picture(path: Path, size: int) -> FilePicture:
    """Return the file's picture at size x size for the network, named by the file without its ending.

    Raises UserError naming the file if it cannot be read as an image.
    """
    data = Entry(path).read()
    image = decode_picture(data, str(path))
    name = path.stem.encode("utf-8", "backslashreplace").decode()
    picture = Picture(name, resize_picture(image, size), image.height, image.width)
    return FilePicture(path, data, picture, view_of(image))


def check_batch_size(batch_size: int) -> int:
    """Return the batch size. Raises UserError unless it is 1 or more."""
    if batch_size < 1:
        raise UserError(f"batch size {batch_size} is out of range; give 1 or more")
    return batch_size


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES


def _hint(source: Path) -> str:
    inner = next((path.parent for path in sorted(source.glob("*/*")) if _is_picture(path)), None)
    if inner is not None:
        return f"folders within it are not searched: give one of them, such as {inner}"
    return f"their names must end in one of {', '.join(sorted(PICTURES))}"


def _refuse_shared_names(images: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in images:
        other = seen.setdefault(path.stem.casefold(), path)
        if other is not path:
            raise UserError(
                f"{other} and {path.name} would both write the mask {other.stem}.png; "
                "rename one, or give them one by one"
            )
