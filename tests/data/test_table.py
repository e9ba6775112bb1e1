from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.table import DATASETS, find_pairs, read_cases


def test_every_set_is_found_and_read_by_its_name(
    isic2018: Path, ham10000: Path, ph2: Path, own_folder: Path, nnunet_raw: Path
) -> None:
    roots = {
        "isic2018": isic2018,
        "ham10000": ham10000,
        "ph2": ph2,
        "folder": own_folder,
        "nnunet": nnunet_raw,
    }
    assert set(roots) == set(DATASETS) - {
        "coco",
        "cvat",
        "isic2016",
        "isic2017",
        "labelme",
        "yolo",
    }, "these have own tests"
    for name, root in roots.items():
        cases = read_cases(name, root)
        assert cases
        assert find_pairs(name, root).cases() == cases


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="unknown data set 'isic'; choose one of coco, cvat, folder, ham10000, isic2016"
    ):
        read_cases("isic", tmp_path)
