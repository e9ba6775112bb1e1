"""Anyone's own data: a folder of images beside a folder of masks."""

import csv
from collections.abc import Iterable
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Case, Entry
from mlffm_segdiff.data.pairing import Pairing, find_entries, require

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label")
MASK_SUFFIXES = ("_mask", "-mask", "_segmentation", "_lesion")
PICTURES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
GROUPS = "groups.csv"
_LAYOUT = "put images into images/ and masks of the same name (or name_mask) into masks/"


def find_folder(path: Path) -> Pairing:
    """Images of `path`/images and masks of `path`/masks, paired by file name without its ending.

    A mask's name may end in one of MASK_SUFFIXES. `path`/groups.csv (id,group) is read if present.
    Raises UserError if a folder is absent or empty, or two files claim one id.
    """
    root = path.expanduser().resolve()
    images = _unique((entry, _stem(entry)) for entry in _pictures(root, IMAGE_FOLDERS))
    require(images, f"pictures in {IMAGE_FOLDERS[0]}/", root, _LAYOUT)
    masks = _unique((entry, _image_id(entry, images)) for entry in _pictures(root, MASK_FOLDERS))
    require(masks, f"pictures in {MASK_FOLDERS[0]}/", root, _LAYOUT)
    return Pairing(images, masks, _groups(root / GROUPS))


def read_folder(path: Path) -> list[Case]:
    """The cases of a user's own folder, sorted by id. Raises UserError as `find_folder` does."""
    return find_folder(path).cases()


def _pictures(root: Path, names: tuple[str, ...]) -> list[Entry]:
    folders = [item for item in root.iterdir() if item.name.lower() in names] if root.is_dir() else []
    if len(folders) != 1:
        seen = ", ".join(sorted(item.name for item in folders)) or "none"
        raise UserError(f"{root} must hold one of the folders {', '.join(names)} (found: {seen}); {_LAYOUT}")
    return [entry for entry in find_entries(folders[0]) if Path(entry.name).suffix.lower() in PICTURES]


def _stem(entry: Entry) -> str:
    return Path(entry.name).stem


def _image_id(mask: Entry, images: Iterable[str]) -> str:
    """The id of the image that `mask` belongs to: the same name first, then the name less its suffix."""
    stem = _stem(mask)
    if stem in images:
        return stem
    return next((stem.removesuffix(end) for end in MASK_SUFFIXES if stem.lower().endswith(end)), stem)


def _unique(entries: Iterable[tuple[Entry, str]]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry, key in entries:
        if key in found:
            raise UserError(f"{found[key]} and {entry} both claim the id {key!r}; rename or remove one")
        found[key] = entry
    return found


def _groups(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    if not rows or not {"id", "group"} <= set(rows[0]):
        raise UserError(f"{path} must have the columns id,group and at least one line")
    return {row["id"]: row["group"] for row in rows}
