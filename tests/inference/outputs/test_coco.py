from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from mlffm_segdiff.inference.outputs.coco import CocoCase, coco_case, coco_file
from mlffm_segdiff.inference.prediction import Prediction

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # pycocotools 2.0.11


def prediction(seed: int) -> Prediction:
    probability = np.random.default_rng(seed).random((9 + seed, 12), dtype=np.float32)
    return Prediction(probability >= 0.7, probability, np.zeros_like(probability))


def nothing() -> Prediction:
    empty = np.zeros((5, 6), np.float32)
    return Prediction(empty > 0, empty, empty)


def test_pycocotools_reads_every_picture_and_mask_back(tmp_path: Path) -> None:
    found = {"a.jpg": prediction(0), "nothing.png": nothing(), "caf\udce9.png": prediction(1)}
    with coco_file(tmp_path / "coco.json") as add:
        for name, one in found.items():
            add(coco_case(one, name))
    coco = COCO(tmp_path / "coco.json")
    assert [image["file_name"] for image in coco.imgs.values()] == list(found)
    assert coco.cats == {1: {"id": 1, "name": "lesion"}}
    for key, one in zip(coco.imgs, found.values(), strict=True):
        assert (coco.imgs[key]["height"], coco.imgs[key]["width"]) == one.mask.shape
        annotations = coco.loadAnns(coco.getAnnIds(key))
        assert len(annotations) == one.mask.any()
        for annotation in annotations:
            np.testing.assert_array_equal(coco.annToMask(annotation), one.mask)
            assert annotation["area"] == one.mask.sum()
            rows, columns = np.nonzero(one.mask)
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert annotation["bbox"] == box
            assert annotation["score"] == pytest.approx(one.probability[one.mask].mean(), abs=1e-6)


def test_its_annotations_are_results_that_pycocotools_scores(tmp_path: Path) -> None:
    with coco_file(tmp_path / "coco.json") as add:
        add(coco_case(prediction(0), "a.jpg"))
    coco = COCO(tmp_path / "coco.json")
    results = coco.loadRes(list(coco.anns.values()))
    assert results.anns[1]["score"] > 0.7


def test_no_picture_gives_an_empty_data_set(tmp_path: Path) -> None:
    with coco_file(tmp_path / "coco.json"):
        pass
    assert COCO(tmp_path / "coco.json").dataset == {
        "categories": [{"id": 1, "name": "lesion"}],
        "images": [],
        "annotations": [],
    }


def test_a_run_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    def interrupted(add: Callable[[CocoCase], None]) -> None:
        add(coco_case(prediction(0), "a.jpg"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), coco_file(tmp_path / "coco.json") as add:
        interrupted(add)
    assert list(tmp_path.iterdir()) == []
