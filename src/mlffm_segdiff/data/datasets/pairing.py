"""Find the files of a data set in folders and archives, and pair images with masks by id."""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from re import Pattern

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.data.case import Case, Entry, open_archive
from mlffm_segdiff.data.splits import SPLITS, Split, draw_validation, make_split

OWN_SHARES = (0.7, 0.1, 0.2)
VALIDATION_SHARE = 0.1
"""Share of the training images that validate where a data set has test but no validation images."""

SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})
"""Files that Windows adds to folders of images, in lower case."""


@dataclass(frozen=True)
class Pairing:
    """Images and masks of a data set.

    Attributes:
        images: Images by id.
        masks: Masks by id.
        groups: Known groups by id.
        split: The data set's own split, if it has one.
        official: Number of pairs in the complete official archives that were found, or 0 if there are none.
        ignored: Number of other files, such as hidden ones, superpixels and licences.
    """

    images: Mapping[str, Entry]
    masks: Mapping[str, Entry]
    groups: Mapping[str, str] = field(default_factory=dict)
    split: Split | None = None
    official: int = 0
    ignored: int = 0

    def cases(self) -> list[Case]:
        """Return one case per image, sorted by id; the mask is None if missing."""
        return [
            Case(key, self.images[key], self.masks.get(key), self.groups.get(key, key))
            for key in sorted(self.images)
        ]

    def own_split(self) -> Split:
        """Return the data set's split of the cases; if it has none, about 70/10/20 % by group, with seed 0.

        Raises:
            UserError: If there are too few groups for three parts.
        """
        if self.split is not None:
            return self.split
        cases = self.cases()
        train, val = (round(share * len(cases)) for share in OWN_SHARES[:2])
        return make_split(cases, (train, val, len(cases) - train - val), exact=False)

    def masks_without_image(self) -> list[str]:
        """Return the sorted ids that have a mask but no image."""
        return sorted(set(self.masks) - set(self.images))


@dataclass(frozen=True)
class Listing:
    """The files of a folder, and the members of its archives.

    Attributes:
        entries: Files, then members, without hidden ones.
        hidden: Number of files that `is_hidden` names.
    """

    entries: Sequence[Entry]
    hidden: int

    def without(self, *used: Mapping[str, Entry]) -> int:
        """Return the number of files that are not used."""
        return len(self.entries) + self.hidden - sum(map(len, used))


def split_of_parts(
    images: Mapping[str, Mapping[str, Entry]], groups: Mapping[str, str] | None = None
) -> Split | None:
    """Return the split into the parts that a data set has; None if there is nothing but training images.

    Without validation images, about VALIDATION_SHARE of the training images validate, see `draw_validation`.

    Args:
        images: Images by part and id; parts may be empty or missing.
        groups: Known groups by id.
    """
    groups = groups or {}
    ids = {part: tuple(sorted(images.get(part, ()))) for part in SPLITS}
    if not ids["val"] and not ids["test"]:
        return None
    if ids["train"] and not ids["val"]:
        cases = [Case(key, images["train"][key], None, groups.get(key, key)) for key in ids["train"]]
        return Split(*draw_validation(cases, VALIDATION_SHARE), ids["test"])
    return Split(ids["train"], ids["val"], ids["test"])


def find_entries(root: Path) -> list[Entry]:
    """Return the entries of `list_files`, whose arguments and errors are the same."""
    return list(list_files(root).entries)


def list_files(root: Path, archives: bool = True) -> Listing:
    """List all files in a folder, and then all members of its zip archives.

    Links to folders are followed, except to a folder that contains the link.

    Args:
        root: Folder, searched recursively, or an archive.
        archives: Whether to look into zip archives.

    Raises:
        UserError: If `root` does not exist, or a folder or an archive cannot be read.
    """
    if not root.exists():
        raise UserError(f"{root} does not exist; check the path")
    paths = [root] if root.is_file() else sorted(files_below(root))
    packed = [path for path in paths if path.suffix.lower() == ".zip"]
    files = [Entry(path) for path in paths if path.suffix.lower() != ".zip"]
    found = [(entry, is_hidden(entry.path.relative_to(root).parts)) for entry in files]
    for archive in packed if archives else ():
        if is_hidden(archive.relative_to(root).parts):
            continue
        members = [Entry(archive, info.filename) for info in open_archive(archive).infolist()]
        found += [(entry, is_hidden(str(entry.member).split("/"))) for entry in members if entry.name]
    entries = [entry for entry, hidden in found if not hidden]
    return Listing(entries, len(found) - len(entries))


def is_hidden(parts: Iterable[str]) -> bool:
    """Return whether a path has a hidden part, or one that a system adds to folders and archives."""
    return any(
        (part.startswith((".", "__MACOSX")) and part not in (".", "..")) or part.lower() in SYSTEM_FILES
        for part in parts
    )


def is_file(path: Path) -> bool:
    """Return whether a path is a file or a broken link, such as git-annex leaves for a file not fetched.

    A broken link is an image or a mask that cannot be read, not one that is absent.
    """
    return path.is_file() or (path.is_symlink() and not path.exists())


def files_below(root: Path) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders, as `list_files` finds them. Raises UserError."""
    for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        here = Path(folder)
        folders[:] = [name for name in folders if not _contains(here / name)]
        yield from filter(is_file, (here / name for name in names))


def _contains(folder: Path) -> bool:
    """Return whether a folder is a link to one that contains it, which would be searched endlessly."""
    if not folder.is_symlink():
        return False
    above = {place.resolve() for place in folder.parents}
    return folder.resolve() in above.union(folder.parent.resolve().parents)


def _refuse(error: OSError) -> None:
    raise UserError(
        f"{error.filename} cannot be read ({error.strerror}); allow reading it or move it away"
    ) from error


def by_id(entries: Iterable[Entry], pattern: Pattern[str]) -> dict[str, Entry]:
    """Return entries whose name matches `pattern`, by its first group in NFC; the first of an id wins."""
    found: dict[str, Entry] = {}
    for entry in entries:
        match = pattern.fullmatch(entry.name)
        if match:
            found.setdefault(unicodedata.normalize("NFC", match[1]), entry)
    return found


def within(entries: Iterable[Entry], root: Path, folder: str) -> list[Entry]:
    """Return entries below `root` with `folder` in the names of their folders or archive, in any case."""
    return [entry for entry in entries if folder.lower() in location(entry, root).lower()]


def location(entry: Entry, root: Path) -> str:
    """Return where an entry is below `root`, with the archive as a folder: ARCHIVE.zip/FOLDER/NAME."""
    path = entry.path.name if entry.path == root else entry.path.relative_to(root).as_posix()
    return path if entry.member is None else f"{path}/{entry.member}"


def outer_folder(path: Path, inner: Sequence[str]) -> Path:
    """Return `path`, or the folder above it if it is, or links to, one of the official folders in `inner`."""
    names = {name.lower() for name in inner}
    absolute = Path(os.path.abspath(expanded(path)))  # noqa: PTH100  # without following links
    for place in (absolute, absolute.resolve()):
        if place.stem.lower() in names:
            return outer_folder(place.parent, inner)
    return absolute


def require(found: Mapping[str, Entry], what: str, root: Path, download: str) -> None:
    """Raise UserError, with what was searched for and what to download, if nothing was found."""
    if not found:
        raise UserError(f"no {what} found in {root}; {download}")
