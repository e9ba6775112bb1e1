"""HAM10000 (Tschandl et al. 2018, Sci Data 5:180161) with the lesion masks of Tschandl et al. 2020."""

import re
from collections.abc import Iterable
from pathlib import Path

from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.csv_columns import read_rows
from mlffm_segdiff.data.datasets.pairing import Pairing, by_id, find_entries, outer_folder, require

PARTS = ("HAM10000_images_part_1", "HAM10000_images_part_2")
MASKS = "HAM10000_segmentations_lesion_tschandl"
METADATA = "HAM10000_metadata"
_IMAGE = re.compile(r"(ISIC_\d+)\.jpe?g", re.IGNORECASE)
_MASK = re.compile(r"(ISIC_\d+)_segmentation\.png", re.IGNORECASE)
_METADATA = re.compile(rf"({METADATA})(\.csv|\.tab|\.tsv|\.txt)?", re.IGNORECASE)
_DOWNLOAD = "get {} from https://doi.org/10.7910/DVN/DBW86T and put it there"


def find_ham10000(path: Path) -> Pairing:
    """Images, masks and lesions named in the metadata, packed or unpacked, in or around `path`.

    A group is a lesion: 10,015 images show 7,470. Raises UserError if images, masks or metadata are
    absent, or an image has no line in the metadata.
    """
    root = outer_folder(path, (*PARTS, MASKS, METADATA))
    entries = find_entries(root)
    metadata = by_id(entries, _METADATA)
    require(metadata, f"{METADATA} (.csv or .tab)", root, _DOWNLOAD.format(METADATA))
    groups = _lesions(next(iter(metadata.values())))
    images = _listed(by_id(entries, _IMAGE), groups)
    require(images, "HAM10000 images (ISIC_*.jpg)", root, _DOWNLOAD.format(" and ".join(PARTS)))
    masks = _listed(by_id(entries, _MASK), groups)
    require(masks, "HAM10000 masks (ISIC_*_segmentation.png)", root, _DOWNLOAD.format(f"{MASKS}.zip"))
    return Pairing(images, masks, groups)


def _listed(found: dict[str, Entry], listed: Iterable[str]) -> dict[str, Entry]:
    """Only the ids the metadata lists: the official download also holds the test images of ISIC 2018."""
    return {key: found[key] for key in listed if key in found}


def _lesions(entry: Entry) -> dict[str, str]:
    """Lesion by image id, from comma- or tab-separated metadata."""
    rows = read_rows(entry.read(), str(entry), ("image_id", "lesion_id"))
    return {image: lesion for _, (image, lesion) in rows}
