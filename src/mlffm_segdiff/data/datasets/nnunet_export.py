"""Write a data set with its split as a raw data set of nnU-Net v2."""

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.progress import Progress
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.datasets.groups import GROUPS
from mlffm_segdiff.data.datasets.nnunet_raw import DATASET_FILE, SPLITS_FILE, TEST, TRAIN
from mlffm_segdiff.data.read_pair import read_pair
from mlffm_segdiff.files.atomic import (
    atomic_folder,
    atomic_write,
    open_checked,
    require_writable_file,
    require_writable_folder,
)
from mlffm_segdiff.files.csv_text import csv_table
from mlffm_segdiff.machine.processors import processors

NAME = re.compile(r"Dataset\d{3}_\w[\w-]*", re.ASCII)
EXTENSION = ".png"

Size = tuple[int, int]


def write_nnunet(folder: Path, parts: Mapping[str, Sequence[Case]], progress: Progress) -> list[Size]:
    """Write the cases of train, val and test as a raw data set of nnU-Net v2.

    imagesTr and labelsTr have train and val, separated by splits_final.json; imagesTs and labelsTs have test.
    Images are RGB, labels 0 and 1, both PNG. groups.csv keeps the groups, if any. The folder is written
    atomically.

    Args:
        folder: Folder to create, named DatasetXXX_NAME.
        parts: Cases of "train", "val" and "test".
        progress: Called with (done, total).

    Returns:
        Height and width of each image in train and val, in pixels.

    Raises:
        UserError: If the folder exists or has another name, train or val is empty, or a case has no mask, a
            mask of another size, or unreadable files.
    """
    check_target(folder)
    for part in ("train", "val"):
        if not parts[part]:
            raise UserError(
                f"the split has no case in part {part!r}; nnU-Net needs cases to train and validate"
            )
    training = [*parts["train"], *parts["val"]]
    with atomic_folder(folder) as building:
        sizes = _write_images(building, training, parts["test"], progress)
        write_dataset(building / DATASET_FILE, folder.name, len(training))
        _write_json(building / SPLITS_FILE, splits(parts))
        _write_groups(building / GROUPS, [*training, *parts["test"]])
    return sizes[: len(training)]


def write_splits(preprocessed: Path, name: str, parts: Mapping[str, Sequence[Case]]) -> Path:
    """Write the split of train and val to nnU-Net's folder of preprocessed data.

    Args:
        preprocessed: $nnUNet_preprocessed.
        name: Name of the data set, DatasetXXX_NAME.
        parts: Cases of "train", "val" and "test".

    Returns:
        Path of the file.

    Raises:
        UserError: If the file exists.
    """
    path = splits_target(preprocessed, name)
    with atomic_write(path) as temporary:
        _write_json(temporary, splits(parts))
    return path


def check_target(folder: Path) -> None:
    """Raise UserError if the folder exists, cannot be created, or is not named DatasetXXX_NAME."""
    if not NAME.fullmatch(folder.name):
        raise UserError(
            f"{folder} is not a data set name of nnU-Net; use DatasetXXX_NAME, such as Dataset501_ISIC2018"
        )
    if folder.exists():
        raise UserError(f"{folder} exists; choose a new folder")
    require_writable_folder(folder)


def splits_target(preprocessed: Path, name: str) -> Path:
    """Return where nnU-Net looks for a split. Raises UserError if the file exists or cannot be written."""
    path = preprocessed / name / SPLITS_FILE
    if path.exists():
        raise UserError(f"{path} exists; remove it, or leave --preprocessed out")
    require_writable_file(path)
    return path


def splits(parts: Mapping[str, Sequence[Case]]) -> list[dict[str, list[str]]]:
    """Return one fold in nnU-Net's format: the sorted ids of train and val."""
    return [{part: sorted(case.id for case in parts[part]) for part in ("train", "val")}]


def _write_images(
    folder: Path, training: Sequence[Case], test: Sequence[Case], progress: Progress
) -> list[Size]:
    cases, parts = [*training, *test], [TRAIN] * len(training) + [TEST] * len(test)
    for part in set(parts):
        (folder / f"images{part}").mkdir()
        (folder / f"labels{part}").mkdir()
    sizes = []
    with ThreadPoolExecutor(processors()) as pool:
        for size in pool.map(_write_case, cases, parts, [folder] * len(cases)):
            sizes.append(size)
            progress(len(sizes), len(cases))
    return sizes


def _write_case(case: Case, part: str, folder: Path) -> Size:
    image, mask = read_pair(case)
    for path, shown in (
        (image_path(folder, part, case.id), image),
        (label_path(folder, part, case.id), label_image(mask.lesion)),
    ):
        with open_checked(path) as file:
            shown.save(file, "PNG")
    return image.height, image.width


def image_path(folder: Path, part: str, name: str) -> Path:
    """Return the path of a case's image.

    Args:
        folder: Folder of the data set, DatasetXXX_NAME.
        part: TRAIN or TEST.
        name: Case id.
    """
    return folder / f"images{part}" / f"{name}_0000{EXTENSION}"


def label_path(folder: Path, part: str, name: str) -> Path:
    """Return the path of a case's label.

    Args:
        folder: Folder of the data set, DatasetXXX_NAME.
        part: TRAIN or TEST.
        name: Case id.
    """
    return folder / f"labels{part}" / f"{name}{EXTENSION}"


def label_image(mask: npt.NDArray[np.bool_]) -> Image.Image:
    """Convert a mask (HxW bool) to an image of 0 and 1, as nnU-Net reads it."""
    return Image.fromarray(mask.astype(np.uint8))


def write_dataset(path: Path, name: str, training: int) -> None:
    """Write dataset.json for a data set with this name and number of training cases."""
    _write_json(path, _dataset(name, training))


def _dataset(name: str, count: int) -> dict[str, object]:
    """Return the content of dataset.json; nnU-Net z-scores channels of these names."""
    return {
        "name": name,
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": count,
        "file_ending": EXTENSION,
    }


def _write_groups(path: Path, cases: Sequence[Case]) -> None:
    if any(case.group != case.id for case in cases):
        rows = sorted((case.id, case.group) for case in cases)
        path.write_text(csv_table(("id", "group"), rows), encoding="utf-8", newline="")


def _write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=4) + "\n", encoding="utf-8")
