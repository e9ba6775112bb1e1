import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mlffm_segdiff.data.view import view_of
from mlffm_segdiff.inference.measures.case import mean_spread, measure_case
from mlffm_segdiff.inference.prediction import Prediction

Mask = npt.NDArray[np.bool_]


def prediction_of(mask: Mask) -> Prediction:
    probability = mask.astype(np.float32)
    return Prediction(mask, probability, np.zeros_like(probability))


def picture(mask: Mask) -> npt.NDArray[np.uint8]:
    return np.where(mask[..., None], (120, 72, 40), (220, 180, 160)).astype(np.uint8)


def test_a_case_has_all_measures(ellipse: Callable[..., Mask]) -> None:
    mask = ellipse(120, 80, 0.5)
    found = measure_case(picture(mask), prediction_of(mask))
    unknown = {name for name, value in dataclasses.asdict(found).items() if value is None}
    assert unknown == {"area_mm2", "perimeter_mm", "equivalent_diameter_mm"}
    assert (found.colours, found.parts, found.area) == (1, 1, mask.sum())


def test_millimetres_come_from_the_spacing(rectangle: Mask) -> None:
    found = measure_case(picture(rectangle), prediction_of(rectangle), mm_per_pixel=0.05)
    assert found.area_mm2 == pytest.approx(3.0)  # 3 mm x 1 mm
    assert found.equivalent_diameter_mm == pytest.approx(2 * np.sqrt(3 / np.pi))
    assert found.perimeter_mm == pytest.approx(0.05 * found.perimeter)


def test_the_view_of_a_picture_gives_the_same_measures(ellipse: Callable[..., Mask]) -> None:
    mask = np.kron(ellipse(120, 80, 0.5), np.ones((2, 2), bool))
    image = picture(mask)
    assert image.shape == (800, 1000, 3)
    found = measure_case(image, prediction_of(mask))
    assert found == measure_case(view_of(Image.fromarray(image)), prediction_of(mask))


@pytest.mark.parametrize("mask", [np.zeros((30, 40), bool), np.eye(1, dtype=bool), np.ones((30, 40), bool)])
def test_nothing_one_pixel_and_everything_are_measured(mask: Mask) -> None:
    found = dataclasses.asdict(measure_case(picture(mask), prediction_of(mask), 0.1))
    assert all(value is None or np.isfinite(value) for value in found.values())
    assert found["area"] == mask.sum()
    assert (found["centroid_x"] is None) == (not mask.any())


def test_the_mean_spread_is_over_what_may_be_lesion() -> None:
    probability = np.array([[0.9, 0.05, 0.04, 0.0]], np.float32)
    spread = np.array([[0.1, 0.3, 0.4, 0.5]], np.float32)
    found = Prediction(probability >= 0.5, probability, spread)
    assert mean_spread(found) == pytest.approx(0.2)
    assert mean_spread(prediction_of(np.zeros((2, 2), bool))) == 0.0
