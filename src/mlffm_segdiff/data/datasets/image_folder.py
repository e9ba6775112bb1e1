"""Anyone's own data: a folder of images beside a folder of masks."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.csv_columns import read_rows
from mlffm_segdiff.data.datasets.pairing import Pairing, find_entries, require

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label")
MASK_SUFFIXES = ("_mask", "-mask", "_segmentation", "_lesion")
PICTURES = frozenset({".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
GROUPS = "groups.csv"
_LAYOUT = "put images into images/ and masks of the same name (or name_mask) into masks/"


def find_image_folder(path: Path) -> Pairing:
    """Images of `path`/images and masks of `path`/masks, paired by file name without its ending.

    A mask's name may end in one of MASK_SUFFIXES. `path`/groups.csv (id,group) is read if present.
    Raises UserError if a folder is absent or empty, two files claim one id, or a line of groups.csv is
    faulty or names no image and no mask.
    """
    root = path.expanduser().resolve()
    images = _unique((entry, _stem(entry)) for entry in _pictures(root, IMAGE_FOLDERS))
    require(images, f"pictures in {IMAGE_FOLDERS[0]}/", root, _LAYOUT)
    masks = _unique((entry, _image_id(entry, images)) for entry in _pictures(root, MASK_FOLDERS))
    require(masks, f"pictures in {MASK_FOLDERS[0]}/", root, _LAYOUT)
    return Pairing(images, masks, read_groups(root / GROUPS, {**masks, **images}))


def mask_case_id(stem: str) -> str:
    """The id of a mask's case: the file's name without ending, less one of MASK_SUFFIXES in any case."""
    suffix = next((end for end in MASK_SUFFIXES if stem.lower().endswith(end)), "")
    return stem[: len(stem) - len(suffix)]


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
    return stem if stem in images else mask_case_id(stem)


def _unique(entries: Iterable[tuple[Entry, str]]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry, key in entries:
        if key in found:
            raise UserError(f"{found[key]} and {entry} both claim the id {key!r}; rename or remove one")
        found[key] = entry
    return found


def read_groups(path: Path, known: Mapping[str, Entry]) -> dict[str, str]:
    """The groups by id of a CSV file (id,group), none where it is absent.

    Raises UserError naming the line if one is faulty or its id is not among the `known`.
    """
    if not path.exists():
        return {}
    found: dict[str, str] = {}
    for line, (key, group) in read_rows(Entry(path).read(), str(path), ("id", "group")):
        if key not in known:
            raise UserError(f"{path}, line {line}: no image has the id {key!r}; {_mend(key, known)}")
        if found.setdefault(key, group) != group:
            raise UserError(f"{path}, line {line}: {key!r} is in two groups; keep one line")
    return found


def _mend(key: str, known: Mapping[str, Entry]) -> str:
    """How to make `key` an id: many write the file's whole name."""
    stem = Path(key).stem
    return (
        f"write {stem!r}, without the ending" if stem in known else "write an image's name, or cut the line"
    )
