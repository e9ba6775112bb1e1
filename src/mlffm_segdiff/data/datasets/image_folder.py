"""Your own data: a folder of images and a folder of masks."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.groups import groups_tables, read_groups
from mlffm_segdiff.data.datasets.mask_names import (
    case_id,
    masks_of_images,
    unique_by_id,
    without_companions,
)
from mlffm_segdiff.data.datasets.pairing import Listing, Pairing, list_files, location, require

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label")
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
_LAYOUT = "put images into images/ and masks of the same name (or name_mask) into masks/"


def find_image_folder(path: Path) -> Pairing:
    """Find images in images/ and masks in masks/, paired by file name as `masks_of_images` does.

    groups.csv (id,group) is read if present. All may be in a folder of their own, or in archives.

    Args:
        path: Folder that contains both.

    Raises:
        UserError: If `path` does not exist, a folder in it is missing or empty, two files have the same id,
            no mask has the name of an image, or groups.csv is invalid.
    """
    root = expanded(path).absolute()
    listing, places = _find_folders(root)
    image_folder, mask_folder = (
        _the_folder(places.values(), root, names) for names in (IMAGE_FOLDERS, MASK_FOLDERS)
    )
    images = unique_by_id((case_id(entry), entry) for entry in _images(places, image_folder))
    require(images, f"images in {IMAGE_FOLDERS[0]}/", root, _LAYOUT)
    masks = masks_of_images(_images(places, mask_folder), images)
    require(masks, f"images in {MASK_FOLDERS[0]}/", root, _LAYOUT)
    tables = groups_tables(listing)
    groups = read_groups(tables, {**masks, **images})
    return Pairing(images, masks, groups, ignored=listing.without(images, masks, tables))


def images_among(entries: Iterable[Entry]) -> list[Entry]:
    """Return the files that are images by their extension, and do not accompany others."""
    return without_companions(
        entry for entry in entries if Path(entry.name).suffix.lower() in IMAGE_EXTENSIONS
    )


def _find_folders(root: Path) -> tuple[Listing, dict[Entry, PurePosixPath]]:
    """Return the files below `root`, in archives too if no folder has masks, and the folder of each."""
    for archives in (False, True):
        listing = list_files(root, archives)
        places = {entry: _folder(entry, root) for entry in listing.entries}
        if _outermost(places.values(), MASK_FOLDERS):
            break
    return listing, places


def _folder(entry: Entry, root: Path) -> PurePosixPath:
    """Return the folder of an entry below `root`, an archive being the folder of its name."""
    place = PurePosixPath(location(entry, root))
    if entry.member is None:
        return place.parent
    archive = PurePosixPath(location(Entry(entry.path), root))
    return archive.with_suffix("") / place.relative_to(archive).parent


def _outermost(places: Iterable[PurePosixPath], names: tuple[str, ...]) -> set[PurePosixPath]:
    """Return the folders with one of these names that are within the fewest others."""
    found = {
        folder for place in set(places) for folder in (place, *place.parents) if folder.name.lower() in names
    }
    least = min((len(folder.parts) for folder in found), default=0)
    return {folder for folder in found if len(folder.parts) == least}


def _the_folder(places: Iterable[PurePosixPath], root: Path, names: tuple[str, ...]) -> PurePosixPath:
    folders = _outermost(places, names)
    if len(folders) != 1:
        seen = ", ".join(sorted(map(str, folders))) or "none"
        raise UserError(
            f"{root} must contain one of the folders {', '.join(names)} (found: {seen}); {_LAYOUT}"
        )
    return folders.pop()


def _images(places: Mapping[Entry, PurePosixPath], folder: PurePosixPath) -> list[Entry]:
    return images_among(entry for entry, place in places.items() if place.is_relative_to(folder))
