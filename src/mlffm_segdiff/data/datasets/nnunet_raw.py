"""A raw data set of nnU-Net v2 with RGB pictures and one class (nnU-Net's documentation, dataset_format)."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.image_folder import GROUPS, read_groups
from mlffm_segdiff.data.datasets.pairing import Pairing, by_id, require
from mlffm_segdiff.data.splits import Split

DATASET_FILE, SPLITS_FILE = "dataset.json", "splits_final.json"
TRAIN, TEST = "Tr", "Ts"
ENDINGS = (".png", ".bmp", ".tif")
FOLDS, FOLD_SEED = 5, 12345
_LAYOUT = "give the folder DatasetXXX_NAME in $nnUNet_raw"


def find_nnunet(path: Path) -> Pairing:
    """The cases of `path`, a folder DatasetXXX_NAME: imagesTr and imagesTs with their labels.

    Test images without a label are passed over. groups.csv (id,group), which nnU-Net does not know, is read
    if present. Raises UserError if it is no such folder, has several files an image or other classes than
    background and one more, an id is in both parts, or groups.csv is faulty.
    """
    root, ending = _root(path)
    train, test = (_images(root, part, ending) for part in (TRAIN, TEST))
    labels, test_labels = (_labels(root, part, ending) for part in (TRAIN, TEST))
    require(train, f"pictures imagesTr/CASE_0000{ending}", root, _LAYOUT)
    require(labels, f"pictures labelsTr/CASE{ending}", root, _LAYOUT)
    images = _together(train, {key: image for key, image in test.items() if key in test_labels})
    masks = _together(labels, test_labels)
    return Pairing(images, masks, read_groups(root / GROUPS, {**masks, **images}))


def nnunet_split(path: Path) -> Split:
    """Train and validation of the first fold, and as test the cases of imagesTs that have a label.

    The fold is that of `path`/splits_final.json, else the one that nnU-Net draws itself.
    Raises UserError if `path` is no raw data set, the file is no list of folds, or a fold names a case that
    is not in imagesTr.
    """
    root, ending = _root(path)
    test = _images(root, TEST, ending).keys() & _labels(root, TEST, ending).keys()
    known = _images(root, TRAIN, ending)
    splits = root / SPLITS_FILE
    drawn = not (splits.exists() or splits.is_symlink())
    train, val = (tuple(sorted(ids)) for ids in (draw_fold(sorted(known)) if drawn else read_fold(splits)))
    for key in (*train, *val):
        if key not in known:
            raise UserError(f"{splits}: the first fold names {key!r}, which is not in imagesTr; mend it")
    return Split(train, val, tuple(sorted(test)))


def read_fold(path: Path) -> tuple[list[str], list[str]]:
    """The ids that train and validate in the first fold of a splits_final.json.

    Raises UserError if there is none, or an id is in it twice.
    """
    folds = _read_json(path)
    try:
        train, val = folds[0]["train"], folds[0]["val"]
    except (LookupError, TypeError):
        train = val = None
    if not (isinstance(train, list) and isinstance(val, list) and train and val):
        raise UserError(f'{path} is no list of folds; write it as [{{"train": [ids], "val": [ids]}}]')
    if not all(isinstance(key, str) for key in train + val) or len({*train, *val}) < len(train + val):
        raise UserError(f"{path}: the first fold names an id twice, or something that is no id; mend it")
    return train, val


def draw_fold(ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ids that train and validate in the first of five folds, drawn as nnU-Net does from sorted `ids`."""
    order = np.arange(len(ids))
    np.random.RandomState(FOLD_SEED).shuffle(order)
    chosen = {int(number) for number in order[: -(-len(ids) // FOLDS)]}
    train = [key for number, key in enumerate(ids) if number not in chosen]
    return train, [ids[number] for number in sorted(chosen)]


def _root(path: Path) -> tuple[Path, str]:
    """The data set's folder and how its files end."""
    root = path.expanduser().resolve()
    dataset = _read_json(root / DATASET_FILE)
    values = dataset if isinstance(dataset, dict) else {}
    ending, labels = values.get("file_ending"), values.get("labels")
    if ending not in ENDINGS:
        raise UserError(
            f"{root / DATASET_FILE}: file_ending is {ending!r}; only pictures are read: {', '.join(ENDINGS)}"
        )
    if not isinstance(labels, dict) or sorted(map(str, labels.values())) != ["0", "1"]:
        raise UserError(
            f"{root / DATASET_FILE}: labels are {labels!r}; only background 0 and one class 1 are read"
        )
    return root, ending


def _images(root: Path, part: str, ending: str) -> dict[str, Entry]:
    entries = _files(root / f"images{part}")
    more = by_id(entries, re.compile(rf"(.+)_000[1-9]{re.escape(ending)}"))
    if more:
        raise UserError(
            f"{next(iter(more.values()))}: an image of several files; only RGB in one file is read"
        )
    return by_id(entries, re.compile(rf"(.+)_0000{re.escape(ending)}"))


def _labels(root: Path, part: str, ending: str) -> dict[str, Entry]:
    return by_id(_files(root / f"labels{part}"), re.compile(rf"(.+){re.escape(ending)}"))


def _files(folder: Path) -> list[Entry]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [Entry(path) for path in found if path.is_file() and not path.name.startswith(".")]


def _together(train: Mapping[str, Entry], test: Mapping[str, Entry]) -> dict[str, Entry]:
    for key in sorted(train.keys() & test.keys()):
        raise UserError(f"{train[key]} and {test[key]} both claim the id {key!r}; remove one")
    return {**train, **test}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {_LAYOUT}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON ({error}); restore it") from error
