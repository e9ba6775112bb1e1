"""The images at a place that a user names: a file, a folder, a zip archive, a pattern, or a URL."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from glob import glob, has_magic
from itertools import chain
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.image_folder import IMAGE_EXTENSIONS
from mlffm_segdiff.data.datasets.pairing import files_below, find_entries, is_file, is_hidden
from mlffm_segdiff.inference.reading.dicom import MARK_END, is_dicom
from mlffm_segdiff.inference.reading.image_lists import list_csv, list_text
from mlffm_segdiff.inference.reading.image_source import Source, first_bytes
from mlffm_segdiff.inference.reading.packed import list_parquet, list_tar
from mlffm_segdiff.inference.reading.remote import RemoteFile, is_url, list_url

EXTENSIONS = IMAGE_EXTENSIONS | {".dcm", ".dicom"}
Lister = Callable[[Path | RemoteFile], tuple[Sequence[Source], Sequence[Source]]]
"""Returns the images that a file names or holds, and what is not an image."""
SHARDS: dict[str, Lister] = {".tar": partial(list_tar, extensions=EXTENSIONS), ".parquet": list_parquet}
LISTS: dict[str, Lister] = {".txt": list_text, ".csv": list_csv}
ARCHIVE = ".zip"
DICOM_INDEX = "dicomdir"
NAMED = f"their names must end in one of {', '.join(sorted(EXTENSIONS))}"


@dataclass(frozen=True)
class ImageFiles:
    """Files that were found at a place.

    Attributes:
        images: Images to segment, sorted by name.
        others: Files that are not images by their extension.
        nested: Images in subfolders that were not searched.
    """

    images: tuple[Source, ...]
    others: tuple[Source, ...] = ()
    nested: tuple[Path, ...] = ()


def list_place(place: str | Path, recursive: bool = False) -> ImageFiles:
    """List the images at a place, sorted by name, without hidden files and those of the system.

    Args:
        place: An image file with any extension; a folder; a zip archive, searched in all its folders; a list
            (``.txt``, ``.csv``), see `image_lists`; a shard (``.tar``, ``.parquet``), see `packed`; a pattern
            with ``*``, ``?``, ``[]``, or ``**`` for nested folders; or a URL, see `list_url`. A file without
            extension, or with a number as its extension, is an image if it is DICOM.
        recursive: Search the subfolders of local folders, too.

    Raises:
        UserError: The place has no images.
    """
    text = str(place)
    if is_url(text):
        return _remote(text)
    path = expanded(place)
    if path.is_file():
        return _require_images(_select(_archived(path)), path) if _is_archive(path) else _in_file(path)
    if not path.is_dir() and has_magic(text):
        return _require_images(_matching(str(path), recursive), path)
    try:
        return _require_images(_in_folder(path, recursive), path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give an image file or a folder of images"
        ) from error


def _remote(url: str) -> ImageFiles:
    urls, single = list_url(url, str(RemoteFile(url)))
    files = [RemoteFile(found) for found in urls]
    if single:
        return _in_file(files[0])
    if has_magic(url) and (shards := [file for file in files if _extension(file.name) in SHARDS]):
        return merged([_in_file(file) for file in shards])
    images = [file for file in files if _extension(file.name) in EXTENSIONS]
    if not images:
        raise UserError(f"no images at {RemoteFile(url)}; {NAMED}")
    return ImageFiles(tuple(images), tuple(file for file in files if file not in set(images)))


def merged(found: Sequence[ImageFiles]) -> ImageFiles:
    """Return the image files of several places together, in order and without repetition."""
    images = _distinct([one.images for one in found])
    others = tuple(dict.fromkeys(other for one in found for other in one.others))
    known = set(images)
    nested = dict.fromkeys(path for one in found for path in one.nested if path not in known)
    return ImageFiles(images, others, tuple(nested))


def _distinct(found: Sequence[Iterable[Source]]) -> tuple[Source, ...]:
    """Return images without repetition, also of a file whose folder is written in two ways at two places.

    Links in a folder are different images, whatever they lead to.
    """
    if len(found) == 1:  # perhaps of millions of images, for which further paths would fill the memory
        return tuple(dict.fromkeys(found[0]))
    folder = cache(Path.resolve)
    places: dict[Source, Source] = {}
    for image in chain.from_iterable(found):
        place = folder(image.parent) / image.name if isinstance(image, Path) else image
        places.setdefault(place, image)
    return tuple(places.values())


def _in_file(file: Path | RemoteFile) -> ImageFiles:
    """Return the images that a list or a shard names, or the file as an image."""
    lister = (SHARDS | LISTS).get(_extension(file.name))
    if lister is None:
        return ImageFiles((file,))
    images, others = lister(file)
    if not images:
        raise UserError(f"no images in {file}; {NAMED}")
    return ImageFiles(tuple(images), tuple(others))


def _matching(pattern: str, recursive: bool) -> ImageFiles:
    return merged(
        [
            _select(_archived(match))
            if _is_archive(match)
            else _in_folder(match, recursive)
            if match.is_dir()
            else _in_file(match)
            if _extension(match.name) in SHARDS
            else _select([Entry(match)])
            for match in map(Path, sorted(glob(pattern, recursive=True)))  # noqa: PTH207
        ]
    )


def _in_folder(folder: Path, recursive: bool) -> ImageFiles:
    if recursive:
        paths = [path for path in files_below(folder) if not is_hidden(path.relative_to(folder).parts)]
        return _select(map(Entry, sorted(paths)))
    paths = [path for path in folder.iterdir() if is_file(path) and not is_hidden([path.name])]
    found = _select(map(Entry, sorted(paths)))
    return ImageFiles(found.images, found.others, tuple(_nested(folder)))


def _nested(folder: Path) -> Iterator[Path]:
    """Yield the images in subfolders by their names; folders that cannot be read are left out."""
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names if Path(place) != folder):
            if _extension(path.name) in EXTENSIONS and not is_hidden(path.relative_to(folder).parts):
                yield path


def _archived(archive: Path) -> list[Entry]:
    return sorted(find_entries(archive), key=str)


def _select(entries: Iterable[Entry]) -> ImageFiles:
    images: list[Source] = []
    others: list[Source] = []
    for entry in entries:
        (images if _is_image(entry) else others).append(entry.path if entry.member is None else entry)
    return ImageFiles(tuple(images), tuple(others))


def _require_images(found: ImageFiles, path: Path) -> ImageFiles:
    if not found.images:
        inside = "directly in" if path.is_dir() else "in"
        raise UserError(f"no images {inside} {path}; {_hint(found, path)}")
    return found


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ARCHIVE and path.is_file()


def _is_image(entry: Entry) -> bool:
    extension = _extension(entry.name)
    if extension in EXTENSIONS:
        return True
    unnamed = not extension or extension[1:].isdigit()
    return unnamed and entry.name.lower() != DICOM_INDEX and is_dicom(first_bytes(entry, MARK_END))


def _extension(name: str) -> str:
    return Path(name).suffix.lower()


def _hint(found: ImageFiles, path: Path) -> str:
    if path.is_dir() and found.nested:
        return (
            f"{len(found.nested)} are in subfolders, which are searched with --recursive; or give one of "
            f"them, such as {min(found.nested).parent}"
        )
    return NAMED
