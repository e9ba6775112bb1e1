"""What lies at one place that a user names: a file, a folder, a zip archive, a pattern, or a URL."""

from collections.abc import Iterable
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.image_folder import IMAGE_EXTENSIONS
from mlffm_segdiff.data.datasets.pairing import find_entries
from mlffm_segdiff.inference.dicom import MARK_END, is_dicom
from mlffm_segdiff.inference.remote import is_url, list_url
from mlffm_segdiff.inference.sources import RemoteFile, Source, first_bytes

ENDINGS = IMAGE_EXTENSIONS | {".dcm", ".dicom"}
ARCHIVE = ".zip"
DICOM_INDEX = "dicomdir"
NAMED = f"their names must end in one of {', '.join(sorted(ENDINGS))}"


@dataclass(frozen=True)
class ImageFiles:
    """images: what to segment, by name. others: files left alone, as they are no pictures by their ending."""

    images: tuple[Source, ...]
    others: tuple[Source, ...] = ()


def list_place(place: str | Path) -> ImageFiles:
    """Return the pictures at a place, sorted by name; hidden files are left out.

    A file is taken whatever its ending. Of a folder the pictures directly in it are taken, of a zip archive
    those in all its folders, of a pattern (*, ?, [], and ** for folders within folders) what it matches.
    Elsewhere, by URL: see `list_url`. A file without ending, or with a number for one, is a picture if it is
    DICOM.
    Raises UserError where there is nothing.
    """
    text = str(place)
    if is_url(text):
        return _elsewhere(text)
    path = Path(place).expanduser()
    if path.is_file():
        return _some(_chosen(_archived(path)), path) if _is_archive(path) else ImageFiles((path,))
    if not path.is_dir() and has_magic(text):
        return _some(_matching(str(path)), path)
    try:
        return _some(_chosen(_files(path)), path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give an image file or a folder of images"
        ) from error


def _elsewhere(url: str) -> ImageFiles:
    urls, single = list_url(url, str(RemoteFile(url)))
    files = [RemoteFile(found) for found in urls]
    if single:
        return ImageFiles(tuple(files))
    images = [file for file in files if _ending(file.name) in ENDINGS]
    if not images:
        raise UserError(f"no pictures at {RemoteFile(url)}; {NAMED}")
    return ImageFiles(tuple(images), tuple(file for file in files if file not in set(images)))


def _matching(pattern: str) -> ImageFiles:
    images: list[Source] = []
    others: list[Source] = []
    for match in map(Path, sorted(glob(pattern, recursive=True))):  # noqa: PTH207
        inside = (
            _archived(match) if _is_archive(match) else _files(match) if match.is_dir() else [Entry(match)]
        )
        found = _chosen(inside)
        images += found.images
        others += found.others
    return ImageFiles(tuple(dict.fromkeys(images)), tuple(dict.fromkeys(others)))


def _files(folder: Path) -> list[Entry]:
    return [
        Entry(path) for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")
    ]


def _archived(archive: Path) -> list[Entry]:
    return sorted(find_entries(archive), key=str)


def _chosen(entries: Iterable[Entry]) -> ImageFiles:
    images: list[Source] = []
    others: list[Source] = []
    for entry in entries:
        (images if _is_picture(entry) else others).append(entry.path if entry.member is None else entry)
    return ImageFiles(tuple(images), tuple(others))


def _some(found: ImageFiles, path: Path) -> ImageFiles:
    if not found.images:
        inside = "directly in" if path.is_dir() else "in"
        raise UserError(f"no pictures {inside} {path}; {_hint(path)}")
    return found


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ARCHIVE and path.is_file()


def _is_picture(entry: Entry) -> bool:
    ending = _ending(entry.name)
    if ending in ENDINGS:
        return True
    unnamed = not ending or ending[1:].isdigit()
    return unnamed and entry.name.lower() != DICOM_INDEX and is_dicom(first_bytes(entry, MARK_END))


def _ending(name: str) -> str:
    return Path(name).suffix.lower()


def _hint(path: Path) -> str:
    inner = next((one.parent for one in sorted(path.glob("*/*")) if _ending(one.name) in ENDINGS), None)
    if path.is_dir() and inner is not None:
        return f"folders within it are not searched: give one of them, such as {inner}"
    return NAMED
