"""ISIC 2018 Task 1 (Codella et al. 2019, arXiv:1902.03368): training images and lesion masks."""

import re
from pathlib import Path

from mlffm_segdiff.data.datasets.pairing import Pairing, by_id, find_entries, outer_folder, require, within

IMAGES = "ISIC2018_Task1-2_Training_Input"
MASKS = "ISIC2018_Task1_Training_GroundTruth"
_IMAGE = re.compile(r"(ISIC_\d+)\.jpe?g", re.IGNORECASE)
_MASK = re.compile(r"(ISIC_\d+)_segmentation\.png", re.IGNORECASE)
_DOWNLOAD = (
    "get {}.zip from https://challenge.isic-archive.com/data/#2018 and put it there, packed or unpacked"
)


def find_isic2018(path: Path) -> Pairing:
    """Find images and masks of the training archives, packed or unpacked.

    Superpixels, attribution and licence files are ignored.

    Args:
        path: Folder with the archives, or one of the unpacked folders.

    Raises:
        UserError: If images or masks are missing.
    """
    root = outer_folder(path, (IMAGES, MASKS))
    entries = find_entries(root)
    images = by_id(within(entries, root, IMAGES), _IMAGE)
    require(images, f"ISIC 2018 images ({IMAGES}/ISIC_*.jpg)", root, _DOWNLOAD.format(IMAGES))
    masks = by_id(within(entries, root, MASKS), _MASK)
    require(masks, f"ISIC 2018 masks ({MASKS}/ISIC_*_segmentation.png)", root, _DOWNLOAD.format(MASKS))
    return Pairing(images, masks)
