"""Find the files of a data set in folders and archives, and pair images with masks by id."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from re import Pattern

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Case, Entry, open_archive


@dataclass(frozen=True)
class Pairing:
    """Images and masks of a data set.

    Attributes:
        images: Images by id.
        masks: Masks by id.
        groups: Known groups by id.
    """

    images: Mapping[str, Entry]
    masks: Mapping[str, Entry]
    groups: Mapping[str, str] = field(default_factory=dict)

    def cases(self) -> list[Case]:
        """Return one case per image, sorted by id; the mask is None if missing."""
        return [
            Case(key, self.images[key], self.masks.get(key), self.groups.get(key, key))
            for key in sorted(self.images)
        ]

    def masks_without_image(self) -> list[str]:
        """Return the sorted ids that have a mask but no image."""
        return sorted(set(self.masks) - set(self.images))


def find_entries(root: Path) -> list[Entry]:
    """List all files in a folder, and then all members of its zip archives.

    Hidden files and macOS resource folders are ignored.

    Args:
        root: Folder, searched recursively, or an archive.

    Raises:
        UserError: If `root` does not exist or an archive cannot be read.
    """
    if not root.exists():
        raise UserError(f"{root} does not exist; give the folder of the data set")
    paths = [root] if root.is_file() else sorted(_files(root))
    archives = [path for path in paths if path.suffix.lower() == ".zip"]
    unpacked = [Entry(path) for path in paths if path.suffix.lower() != ".zip"]
    return unpacked + [entry for archive in archives for entry in _members(archive)]


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _members(archive: Path) -> Iterator[Entry]:
    for info in open_archive(archive).infolist():
        entry = Entry(archive, info.filename)
        if not (info.is_dir() or entry.name.startswith(".") or "__MACOSX" in info.filename):
            yield entry


def by_id(entries: Iterable[Entry], pattern: Pattern[str]) -> dict[str, Entry]:
    """Return entries whose file name matches `pattern`, by its first group; the first of an id wins."""
    found: dict[str, Entry] = {}
    for entry in entries:
        match = pattern.fullmatch(entry.name)
        if match:
            found.setdefault(match[1], entry)
    return found


def within(entries: Iterable[Entry], root: Path, folder: str) -> list[Entry]:
    """Return entries below `root` with `folder` in the names of their folders or archive, in any case."""
    return [entry for entry in entries if folder.lower() in _location(entry, root).lower()]


def _location(entry: Entry, root: Path) -> str:
    path = entry.path.name if entry.path == root else str(entry.path.relative_to(root))
    return f"{path}/{entry.member or ''}"


def outer_folder(path: Path, inner: Sequence[str]) -> Path:
    """Return `path`, or the folder above it if `path` is one of the official folders in `inner`."""
    resolved = path.expanduser().resolve()
    return outer_folder(resolved.parent, inner) if resolved.stem in inner else resolved


def require(found: Mapping[str, Entry], what: str, root: Path, download: str) -> None:
    """Raise UserError, with what was searched for and what to download, if nothing was found."""
    if not found:
        raise UserError(f"no {what} found in {root}; {download}")
