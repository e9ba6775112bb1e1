import json

import numpy as np
import numpy.typing as npt
from matplotlib.path import Path as Outline

from mlffm_segdiff.inference.estimates import ContourBand
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


def test_inner_and_outer_contour_are_closed_and_nested() -> None:
    rows, columns = np.indices((40, 60))
    distance = np.hypot(rows - 20, columns - 30)
    inner, mask, outer = ((distance < radius) & (distance > 14 - radius) for radius in (9, 11, 13))
    outer[2, 55] = True  # a far component
    found = json.loads(json.dumps(geojson(mask, "a", ContourBand(inner, outer, 0.9))))["features"]
    contours = [feature["properties"]["contour"] for feature in found]
    assert contours == ["mask", "inner", "outer", "outer"]
    assert [feature["properties"].get("level") for feature in found] == [None, 0.9, 0.9, 0.9]
    for feature in found:
        for ring in feature["geometry"]["coordinates"]:
            assert ring[0] == ring[-1]
    filled = {name: np.zeros(mask.shape, bool) for name in contours}
    for name, feature in zip(contours, found, strict=True):
        for ring in feature["geometry"]["coordinates"]:
            filled[name] ^= covered(ring, mask.shape)
    for name, expected in (("inner", inner), ("mask", mask), ("outer", outer)):
        np.testing.assert_array_equal(filled[name], expected)


def covered(ring: list[list[int]], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Matplotlib's answer to which pixel centres are in the ring."""
    rows, columns = np.indices(shape)
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
    return Outline(ring).contains_points(centres).reshape(shape)
