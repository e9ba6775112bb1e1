"""Raw data sets of nnU-Net v2 with RGB images and one class (nnU-Net's documentation, dataset_format)."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.groups import groups_tables, read_groups
from mlffm_segdiff.data.datasets.pairing import Pairing, by_id, list_files, require
from mlffm_segdiff.data.splits import Split

DATASET_FILE, SPLITS_FILE = "dataset.json", "splits_final.json"
TRAIN, TEST = "Tr", "Ts"
EXTENSIONS = (".png", ".bmp", ".tif", ".tiff")
FOLDS, FOLD_SEED = 5, 12345
_LAYOUT = "give the folder DatasetXXX_NAME in $nnUNet_raw"


def find_nnunet(path: Path) -> Pairing:
    """Find images and labels in imagesTr, labelsTr, imagesTs and labelsTs.

    Test images without a label are ignored. groups.csv (id,group), which is not part of nnU-Net's format, is
    read if present.

    Args:
        path: Folder DatasetXXX_NAME.

    Raises:
        UserError: If it is not such a folder, has several files per image or several classes, an id is in
            both parts, or groups.csv is invalid.
    """
    root, extension = _root(path)
    train, test = (_images(root, part, extension) for part in (TRAIN, TEST))
    labels, test_labels = (_labels(root, part, extension) for part in (TRAIN, TEST))
    require(train, f"images imagesTr/CASE_0000{extension}", root, _LAYOUT)
    require(labels, f"labels labelsTr/CASE{extension}", root, _LAYOUT)
    images = _merge(train, {key: image for key, image in test.items() if key in test_labels})
    masks = _merge(labels, test_labels)
    listing = list_files(root, archives=False)
    tables = groups_tables(listing)
    described = sum(entry.name in (DATASET_FILE, SPLITS_FILE) for entry in listing.entries)
    return Pairing(
        images,
        masks,
        read_groups(tables, {**masks, **images}),
        nnunet_split(path),
        ignored=listing.without(images, masks, tables) - described,
    )


def nnunet_split(path: Path) -> Split:
    """Return the first fold as train and val, and the labelled cases of imagesTs as test.

    The fold is read from splits_final.json if present; otherwise it is the one nnU-Net would draw.

    Args:
        path: Folder DatasetXXX_NAME.

    Raises:
        UserError: If it is not such a folder, or the fold is invalid or names a case outside imagesTr.
    """
    root, extension = _root(path)
    test = _images(root, TEST, extension).keys() & _labels(root, TEST, extension).keys()
    known = _images(root, TRAIN, extension)
    splits = root / SPLITS_FILE
    drawn = not (splits.exists() or splits.is_symlink())
    train, val = (tuple(sorted(ids)) for ids in (draw_fold(sorted(known)) if drawn else read_fold(splits)))
    for key in (*train, *val):
        if key not in known:
            raise UserError(f"{splits}: the first fold names {key!r}, which is not in imagesTr; correct it")
    return Split(train, val, tuple(sorted(test)))


def read_fold(path: Path) -> tuple[list[str], list[str]]:
    """Read the train and val ids of the first fold of a splits_final.json.

    Raises:
        UserError: If the file has no fold, or the fold has an id twice.
    """
    folds = _read_json(path)
    try:
        train, val = folds[0]["train"], folds[0]["val"]
    except (LookupError, TypeError):
        train = val = None
    if not (isinstance(train, list) and isinstance(val, list) and train and val):
        raise UserError(f'{path} is not a list of folds; write it as [{{"train": [ids], "val": [ids]}}]')
    if not all(isinstance(key, str) for key in train + val) or len({*train, *val}) < len(train + val):
        raise UserError(f"{path}: the first fold has an id twice, or a value that is not an id; correct it")
    return train, val


def draw_fold(ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Draw the train and val ids of the first of five folds from sorted `ids`, as nnU-Net does."""
    order = np.arange(len(ids))
    np.random.RandomState(FOLD_SEED).shuffle(order)
    chosen = {int(number) for number in order[: -(-len(ids) // FOLDS)]}
    train = [key for number, key in enumerate(ids) if number not in chosen]
    return train, [ids[number] for number in sorted(chosen)]


def _root(path: Path) -> tuple[Path, str]:
    """Return the folder of the data set and the extension of its files."""
    root = expanded(path).resolve()
    dataset = _read_json(root / DATASET_FILE)
    values = dataset if isinstance(dataset, dict) else {}
    extension, labels = values.get("file_ending"), values.get("labels")
    if extension not in EXTENSIONS:
        raise UserError(
            f"{root / DATASET_FILE}: file_ending is {extension!r}; supported are {', '.join(EXTENSIONS)}"
        )
    if not isinstance(labels, dict) or sorted(map(str, labels.values())) != ["0", "1"]:
        raise UserError(
            f"{root / DATASET_FILE}: labels are {labels!r}; only background 0 and one class 1 are supported"
        )
    return root, extension


def _images(root: Path, part: str, extension: str) -> dict[str, Entry]:
    entries = _files(root / f"images{part}")
    more = by_id(entries, re.compile(rf"(.+)_000[1-9]{re.escape(extension)}"))
    if more:
        raise UserError(
            f"{next(iter(more.values()))}: an image in several files; supported are RGB images in one file"
        )
    return by_id(entries, re.compile(rf"(.+)_0000{re.escape(extension)}"))


def _labels(root: Path, part: str, extension: str) -> dict[str, Entry]:
    return by_id(_files(root / f"labels{part}"), re.compile(rf"(.+){re.escape(extension)}"))


def _files(folder: Path) -> list[Entry]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [Entry(path) for path in found if path.is_file() and not path.name.startswith(".")]


def _merge(train: Mapping[str, Entry], test: Mapping[str, Entry]) -> dict[str, Entry]:
    for key in sorted(train.keys() & test.keys()):
        raise UserError(f"{train[key]} and {test[key]} have the same id {key!r}; remove one")
    return {**train, **test}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {_LAYOUT}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); restore it") from error
