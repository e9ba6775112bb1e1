import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mlffm_segdiff.inference.outputs.coco import CocoWriter, coco_rle
from mlffm_segdiff.inference.outputs.predictions import Row
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.result import CaseResult

Mask = npt.NDArray[np.bool_]
FindMask = Callable[..., CaseResult]
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # pycocotools 2.0.11


def random_maps(seed: int) -> tuple[Mask, npt.NDArray[np.float32]]:
    probability = np.random.default_rng(seed).random((9 + seed, 12), dtype=np.float32)
    return probability >= 0.7, probability


def write(folder: Path, results: list[CaseResult]) -> Path:
    """Written in reverse, as threads may; the rows come in order."""
    writer = CocoWriter(Output(folder))
    kept = [writer.write(result) for result in reversed(results)]
    for result, one in zip(results, reversed(kept), strict=True):
        writer.add_row(Row(result.image.name, stem=result.image.stem), json.loads(json.dumps(one)))
    writer.close()
    return folder / "coco.json"


def test_pycocotools_reads_every_image_and_mask_back(tmp_path: Path, found_mask: FindMask) -> None:
    nothing = np.zeros((5, 6), bool)
    results = [
        found_mask(*random_maps(0), name="a.jpg"),
        found_mask(nothing, nothing.astype(np.float32), name="nothing.png"),
        found_mask(*random_maps(1), name="caf\udce9.png"),
    ]
    coco = COCO(write(tmp_path, results))
    assert [image["file_name"] for image in coco.imgs.values()] == [one.image.name for one in results]
    assert coco.cats == {1: {"id": 1, "name": "lesion"}}
    for key, one in zip(coco.imgs, results, strict=True):
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


def test_annotations_are_results_that_pycocotools_scores(tmp_path: Path, found_mask: FindMask) -> None:
    coco = COCO(write(tmp_path, [found_mask(*random_maps(0))]))
    results = coco.loadRes(list(coco.anns.values()))
    assert results.anns[1]["score"] > 0.7


def test_no_image_gives_an_empty_data_set(tmp_path: Path) -> None:
    assert COCO(write(tmp_path, [])).dataset == {
        "categories": [{"id": 1, "name": "lesion"}],
        "images": [],
        "annotations": [],
    }


def test_an_image_that_failed_has_no_entry(tmp_path: Path) -> None:
    writer = CocoWriter(Output(tmp_path))
    writer.add_row(Row("broken.png", status="failed"), None)
    writer.close()
    assert COCO(tmp_path / "coco.json").dataset["images"] == []


@given(MASKS)
def test_pycocotools_writes_the_same_run_lengths(mask: Mask) -> None:
    expected = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert coco_rle(mask) == {"size": expected["size"], "counts": expected["counts"].decode()}


@pytest.mark.parametrize("side", [300, 2000])
def test_pycocotools_reads_large_runs_back(side: int) -> None:
    rows, columns = np.indices((side, side // 3))
    mask = (rows - side / 2) ** 2 + (3 * columns - side / 2) ** 2 < (side / 3) ** 2
    found = json.loads(json.dumps(coco_rle(mask)))
    np.testing.assert_array_equal(coco_mask.decode(found), mask)
    assert coco_mask.area(found) == mask.sum()
