import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from mlffm_segdiff.inference.outputs.contours import coco_rle, geojson

Mask = npt.NDArray[np.bool_]

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


def test_a_mask_with_a_hole_is_one_polygon_of_two_closed_rings() -> None:
    mask = np.zeros((5, 7), bool)
    mask[1:4, 1:5] = True
    mask[2, 2] = False
    found = json.loads(json.dumps(geojson(mask, "a lesion")))
    assert (found["type"], found["width"], found["height"]) == ("FeatureCollection", 7, 5)
    (feature,) = found["features"]
    assert feature["properties"] | {"image": "a lesion", "part": 1, "area": 11} == feature["properties"]
    assert feature["geometry"] == {
        "type": "Polygon",
        "coordinates": [
            [[1, 1], [5, 1], [5, 4], [1, 4], [1, 1]],
            [[2, 3], [3, 3], [3, 2], [2, 2], [2, 3]],
        ],
    }


def test_no_lesion_is_no_feature() -> None:
    assert geojson(np.zeros((5, 7), bool), "a")["features"] == []


def test_each_part_says_how_large_it_is() -> None:
    mask = np.zeros((9, 9), bool)
    mask[0, 0] = mask[3:6, 3:6] = True
    found = [feature["properties"] for feature in geojson(mask, "a")["features"]]
    assert [(one["part"], one["area"]) for one in found] == [(1, 9), (2, 1)]


@given(masks)
def test_pycocotools_writes_the_same_run_lengths(mask: Mask) -> None:
    expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert coco_rle(mask) == {"size": expected["size"], "counts": expected["counts"].decode()}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11
@pytest.mark.parametrize("side", [300, 2000])
def test_pycocotools_reads_large_runs_back(side: int) -> None:
    rows, columns = np.indices((side, side // 3))
    mask = (rows - side / 2) ** 2 + (3 * columns - side / 2) ** 2 < (side / 3) ** 2
    found = json.loads(json.dumps(coco_rle(mask)))
    np.testing.assert_array_equal(coco.decode(found), mask)
    assert coco.area(found) == mask.sum()
