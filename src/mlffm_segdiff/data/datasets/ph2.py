"""PH2 (Mendonca et al. 2013, EMBC): 200 dermoscopic images with lesion masks."""

import re
from pathlib import Path

from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.data.datasets.pairing import Pairing, by_id, list_files, require
from mlffm_segdiff.data.splits import official_split

PAIRS = 200
_IMAGE = re.compile(r"(IMD\d+)\.bmp", re.IGNORECASE)
_MASK = re.compile(r"(IMD\d+)_lesion\.bmp", re.IGNORECASE)
_DOWNLOAD = (
    "get PH2Dataset.rar from https://www.fc.up.pt/addi/ph2%20database.html and unpack it there "
    "(.rar archives cannot be read)"
)


def find_ph2(path: Path) -> Pairing:
    """Find images and masks of the unpacked archive.

    Args:
        path: Folder PH2Dataset, a folder above it, or one within it.

    Raises:
        UserError: If images or masks are missing.
    """
    root = expanded(path).absolute()
    listing = list_files(root)
    entries = listing.entries
    images = by_id(entries, _IMAGE)
    require(images, "PH2 images (IMD*_Dermoscopic_Image/IMD*.bmp)", root, _DOWNLOAD)
    masks = by_id(entries, _MASK)
    require(masks, "PH2 masks (IMD*_lesion/IMD*_lesion.bmp)", root, _DOWNLOAD)
    ignored = listing.without(images, masks)
    return Pairing(images, masks, split=official_split("ph2"), official=PAIRS, ignored=ignored)
