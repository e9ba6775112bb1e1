import json

import numpy as np

from mlffm_segdiff.inference.outputs.geojson import geojson


def test_a_mask_with_a_hole_is_one_polygon_of_two_closed_rings() -> None:
    mask = np.zeros((5, 7), bool)
    mask[1:4, 1:5] = True
    mask[2, 2] = False
    found = json.loads(json.dumps(geojson(mask, "a lesion")))
    assert (found["type"], found["width"], found["height"]) == ("FeatureCollection", 7, 5)
    (feature,) = found["features"]
    assert feature["properties"] | {"image": "a lesion", "component": 1, "area": 11} == feature["properties"]
    assert feature["geometry"] == {
        "type": "Polygon",
        "coordinates": [
            [[1, 1], [5, 1], [5, 4], [1, 4], [1, 1]],
            [[2, 3], [3, 3], [3, 2], [2, 2], [2, 3]],
        ],
    }


def test_no_lesion_is_not_a_feature() -> None:
    assert geojson(np.zeros((5, 7), bool), "a")["features"] == []


def test_each_component_has_its_area() -> None:
    mask = np.zeros((9, 9), bool)
    mask[0, 0] = mask[3:6, 3:6] = True
    found = [feature["properties"] for feature in geojson(mask, "a")["features"]]
    assert [(one["component"], one["area"]) for one in found] == [(1, 9), (2, 1)]
