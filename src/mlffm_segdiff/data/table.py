"""Data sets by name."""

from collections.abc import Callable
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.registry import Registry
from mlffm_segdiff.config.spelling import known_name
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.datasets.coco_annotations import find_coco
from mlffm_segdiff.data.datasets.cvat_annotations import find_cvat
from mlffm_segdiff.data.datasets.ham10000 import find_ham10000
from mlffm_segdiff.data.datasets.image_folder import find_image_folder
from mlffm_segdiff.data.datasets.isic_challenges import find_isic2016, find_isic2017, find_isic2018
from mlffm_segdiff.data.datasets.labelme_annotations import find_labelme
from mlffm_segdiff.data.datasets.nnunet_raw import find_nnunet
from mlffm_segdiff.data.datasets.pairing import Pairing
from mlffm_segdiff.data.datasets.ph2 import find_ph2
from mlffm_segdiff.data.datasets.yolo_labels import find_yolo

SYNTHETIC = "synthetic"
"""The source of recipes that is generated instead of read."""

DATASETS: Registry[Callable[[Path], Pairing]] = Registry(
    "data set",
    group="mlffm_segdiff.datasets",
    parts={
        "coco": find_coco,
        "cvat": find_cvat,
        "folder": find_image_folder,
        "ham10000": find_ham10000,
        "isic2016": find_isic2016,
        "isic2017": find_isic2017,
        "isic2018": find_isic2018,
        "labelme": find_labelme,
        "nnunet": find_nnunet,
        "ph2": find_ph2,
        "yolo": find_yolo,
    },
)
"""The finder of each data set: it takes a folder or archive, and pairs the images and masks there by id."""

register_dataset = DATASETS.register


def read_cases(name: str, path: Path) -> list[Case]:
    """Find the cases of a data set.

    Args:
        name: Name of a registered data set.
        path: Its folder or archive.

    Returns:
        Cases, sorted by id.

    Raises:
        UserError: The name is unknown, or the data set cannot be read.
    """
    return find_pairs(name, path).cases()


def find_pairs(name: str, path: Path) -> Pairing:
    """Pair the images and masks of a data set by id.

    Args:
        name: Name of a registered data set.
        path: Its folder or archive.

    Returns:
        Its images and masks by id.

    Raises:
        UserError: The name is unknown, or the data set cannot be read.
    """
    return DATASETS.require(name)(path)


def source_name(name: str) -> str:
    """Return the source of a recipe that ``name`` means, see `known_name`."""
    return known_name(name, [*DATASETS, SYNTHETIC])


def require_source(name: str) -> None:
    """Raise UserError if no source of a recipe is called `name`."""
    if name not in DATASETS and name != SYNTHETIC:
        raise UserError(f"unknown data set {name!r}; choose one of {', '.join([*DATASETS, SYNTHETIC])}")
