"""The ISIC challenges of 2016 to 2018: official images and lesion masks of training, validation and test.

Gutman et al. 2016, arXiv:1605.01397; Codella et al. 2018, arXiv:1710.05006; Codella et al. 2019,
arXiv:1902.03368 (Task 1).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlffm_segdiff.data.datasets.pairing import (
    Pairing,
    by_id,
    list_files,
    outer_folder,
    require,
    split_of_parts,
    within,
)
from mlffm_segdiff.data.splits import official_split

_IMAGE = re.compile(r"(ISIC_\d+)\.jpe?g", re.IGNORECASE)
_MASK = re.compile(r"(ISIC_\d+)_segmentation\.png", re.IGNORECASE)


@dataclass(frozen=True)
class OfficialPart:
    """The two archives of one part of a challenge.

    Attributes:
        images: Name of the archive of images, without .zip.
        masks: Name of the archive of masks, without .zip.
        pairs: Number of pairs in them.
    """

    images: str
    masks: str
    pairs: int


CHALLENGES: Mapping[int, Mapping[str, OfficialPart]] = {
    2016: {
        "train": OfficialPart(
            "ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth", 900
        ),
        "test": OfficialPart("ISBI2016_ISIC_Part1_Test_Data", "ISBI2016_ISIC_Part1_Test_GroundTruth", 379),
    },
    2017: {
        "train": OfficialPart("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth", 2000),
        "val": OfficialPart("ISIC-2017_Validation_Data", "ISIC-2017_Validation_Part1_GroundTruth", 150),
        "test": OfficialPart("ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth", 600),
    },
    2018: {
        "train": OfficialPart("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth", 2594),
        "val": OfficialPart(
            "ISIC2018_Task1-2_Validation_Input", "ISIC2018_Task1_Validation_GroundTruth", 100
        ),
        "test": OfficialPart("ISIC2018_Task1-2_Test_Input", "ISIC2018_Task1_Test_GroundTruth", 1000),
    },
}
"""Official archives by year and part (https://challenge.isic-archive.com/data)."""


def find_isic(path: Path, year: int) -> Pairing:
    """Find images and masks of the official archives of a challenge, packed or unpacked.

    Superpixels, attributes of Task 2, attribution and licence files are ignored. The split is
    `split_of_parts` of what was found; for 2018 without the test archives, it is the packaged list, which
    splits the training images.

    Args:
        path: Folder with the archives, or one of the unpacked folders.
        year: 2016, 2017 or 2018.

    Raises:
        UserError: If images or masks are missing.
    """
    parts = CHALLENGES[year]
    root = outer_folder(path, [name for part in parts.values() for name in (part.images, part.masks)])
    listing = list_files(root)
    images = {name: by_id(within(listing.entries, root, part.images), _IMAGE) for name, part in parts.items()}
    present = {name: parts[name] for name, found in images.items() if found}
    wanted = next(iter(present.values()), parts["train"])
    every_image = {key: entry for name in present for key, entry in images[name].items()}
    require(every_image, f"ISIC {year} images ({wanted.images}/ISIC_*.jpg)", root, _hint(wanted.images, year))
    masks = {
        key: entry
        for part in present.values()
        for key, entry in by_id(within(listing.entries, root, part.masks), _MASK).items()
    }
    what = f"ISIC {year} masks ({wanted.masks}/ISIC_*_segmentation.png)"
    require(masks, what, root, _hint(wanted.masks, year))
    listed = year == 2018 and "train" in present and "test" not in present
    return Pairing(
        every_image,
        masks,
        split=official_split("isic2018") if listed else split_of_parts(images),
        official=sum(part.pairs for part in present.values()),
        ignored=listing.without(every_image, masks),
    )


find_isic2016, find_isic2017, find_isic2018 = (partial(find_isic, year=year) for year in CHALLENGES)


def _hint(archive: str, year: int) -> str:
    return (
        f"get {archive}.zip from https://challenge.isic-archive.com/data/#{year} and put it there, "
        "packed or unpacked"
    )
