"""Your own data: a folder of images and a folder of masks."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.csv_columns import read_rows
from mlffm_segdiff.data.datasets.pairing import Pairing, find_entries, require

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label")
MASK_SUFFIXES = ("_mask", "-mask", "_segmentation", "_lesion")
IMAGE_EXTENSIONS = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".png",
        ".tif",
        ".tiff",
        ".webp",
    }
)
GROUPS = "groups.csv"
_LAYOUT = "put images into images/ and masks of the same name (or name_mask) into masks/"


def find_image_folder(path: Path) -> Pairing:
    """Find images in images/ and masks in masks/, paired by file name without extension.

    The name of a mask may end in one of MASK_SUFFIXES. groups.csv (id,group) is read if present.

    Args:
        path: Folder that contains both.

    Raises:
        UserError: If a folder is missing or empty, two files have the same id, or a line of groups.csv is
            invalid.
    """
    root = path.expanduser().resolve()
    images = _unique((entry, _stem(entry)) for entry in _images(root, IMAGE_FOLDERS))
    require(images, f"images in {IMAGE_FOLDERS[0]}/", root, _LAYOUT)
    masks = _unique((entry, _image_id(entry, images)) for entry in _images(root, MASK_FOLDERS))
    require(masks, f"images in {MASK_FOLDERS[0]}/", root, _LAYOUT)
    return Pairing(images, masks, read_groups(root / GROUPS, {**masks, **images}))


def mask_case_id(stem: str) -> str:
    """Return the id of a mask from its name without extension, removing one of MASK_SUFFIXES in any case."""
    suffix = next((end for end in MASK_SUFFIXES if stem.lower().endswith(end)), "")
    return stem[: len(stem) - len(suffix)]


def _images(root: Path, names: tuple[str, ...]) -> list[Entry]:
    folders = [item for item in root.iterdir() if item.name.lower() in names] if root.is_dir() else []
    if len(folders) != 1:
        seen = ", ".join(sorted(item.name for item in folders)) or "none"
        raise UserError(
            f"{root} must contain one of the folders {', '.join(names)} (found: {seen}); {_LAYOUT}"
        )
    return [
        entry for entry in find_entries(folders[0]) if Path(entry.name).suffix.lower() in IMAGE_EXTENSIONS
    ]


def _stem(entry: Entry) -> str:
    return Path(entry.name).stem


def _image_id(mask: Entry, images: Iterable[str]) -> str:
    """Return the id of the image of a mask: the same name if there is one, otherwise `mask_case_id`."""
    stem = _stem(mask)
    return stem if stem in images else mask_case_id(stem)


def _unique(entries: Iterable[tuple[Entry, str]]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry, key in entries:
        if key in found:
            raise UserError(f"{found[key]} and {entry} have the same id {key!r}; rename or remove one")
        found[key] = entry
    return found


def read_groups(path: Path, known: Mapping[str, Entry]) -> dict[str, str]:
    """Read groups by id from a CSV file (id,group); empty if it does not exist.

    Raises:
        UserError: If a line is invalid or its id is not among the `known` ones.
    """
    if not path.exists():
        return {}
    found: dict[str, str] = {}
    for line, (key, group) in read_rows(Entry(path).read(), str(path), ("id", "group")):
        if key not in known:
            raise UserError(f"{path}, line {line}: no image has the id {key!r}; {_hint(key, known)}")
        if found.setdefault(key, group) != group:
            raise UserError(f"{path}, line {line}: {key!r} is in two groups; keep one line")
    return found


def _hint(key: str, known: Mapping[str, Entry]) -> str:
    """Return a hint on how to correct an id; a common mistake is to write the file name."""
    stem = Path(key).stem
    return f"write {stem!r}, without the extension" if stem in known else "correct or remove the line"
