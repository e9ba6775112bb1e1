"""HAM10000 (Tschandl et al. 2018, Sci Data 5:180161) with the lesion masks of Tschandl et al. 2020."""

import re
from collections.abc import Iterable
from pathlib import Path

from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.pairing import Pairing, by_id, list_files, outer_folder, require
from mlffm_segdiff.data.splits import official_split
from mlffm_segdiff.files.csv_columns import read_rows

IMAGES = ("HAM10000_images_part_1", "HAM10000_images_part_2")
MASKS = "HAM10000_segmentations_lesion_tschandl"
METADATA = "HAM10000_metadata"
PAIRS = 10_015
_IMAGE = re.compile(r"(ISIC_\d+)\.jpe?g", re.IGNORECASE)
_MASK = re.compile(r"(ISIC_\d+)_segmentation\.png", re.IGNORECASE)
_METADATA = re.compile(rf"({METADATA})(\.csv|\.tab|\.tsv|\.txt)?", re.IGNORECASE)
_DOWNLOAD = "get {} from https://doi.org/10.7910/DVN/DBW86T and put it there"


def find_ham10000(path: Path) -> Pairing:
    """Find images, masks and lesions of the metadata, packed or unpacked.

    A group is a lesion; the 10,015 images show 7,470 lesions.

    Args:
        path: Folder with the archives, or one of the unpacked folders.

    Raises:
        UserError: If images, masks or metadata are missing.
    """
    root = outer_folder(path, (*IMAGES, MASKS, METADATA))
    listing = list_files(root)
    entries = listing.entries
    metadata = by_id(entries, _METADATA)
    require(metadata, f"{METADATA} (.csv or .tab)", root, _DOWNLOAD.format(METADATA))
    table = next(iter(metadata.values()))
    rows = read_rows(table.read(), str(table), ("image_id", "lesion_id"))
    groups = {image: lesion for _, (image, lesion) in rows}
    images = _listed(by_id(entries, _IMAGE), groups)
    require(images, "HAM10000 images (ISIC_*.jpg)", root, _DOWNLOAD.format(" and ".join(IMAGES)))
    masks = _listed(by_id(entries, _MASK), groups)
    require(masks, "HAM10000 masks (ISIC_*_segmentation.png)", root, _DOWNLOAD.format(f"{MASKS}.zip"))
    ignored = listing.without(images, masks) - 1
    return Pairing(images, masks, groups, official_split("ham10000"), PAIRS, ignored)


def _listed(found: dict[str, Entry], listed: Iterable[str]) -> dict[str, Entry]:
    """Keep only ids in the metadata: the official download also has the test images of ISIC 2018."""
    return {key: found[key] for key in listed if key in found}
