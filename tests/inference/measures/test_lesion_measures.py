import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mlffm_segdiff.data.view import view_of
from mlffm_segdiff.inference.measures.lesion_measures import measure_lesion

Mask = npt.NDArray[np.bool_]


def drawn(mask: Mask) -> npt.NDArray[np.uint8]:
    return np.where(mask[..., None], (120, 72, 40), (220, 180, 160)).astype(np.uint8)


def test_a_lesion_has_all_measures(ellipse: Callable[..., Mask]) -> None:
    mask = ellipse(120, 80, 0.5)
    found = measure_lesion(mask, drawn(mask), mean_spread=0.1)
    unknown = {name for name, value in dataclasses.asdict(found).items() if value is None}
    assert unknown == {"area_mm2", "perimeter_mm", "equivalent_diameter_mm"}
    assert (found.colours, found.components, found.area) == (1, 1, mask.sum())


def test_without_an_image_there_are_no_colours(rectangle: Mask) -> None:
    found = measure_lesion(rectangle, None)
    assert (found.area, found.colours, found.colour_distance) == (1200, None, None)


def test_millimetres_come_from_the_spacing(rectangle: Mask) -> None:
    found = measure_lesion(rectangle, drawn(rectangle), mm_per_pixel=0.05)
    assert found.area_mm2 == pytest.approx(3.0)  # 3 mm x 1 mm
    assert found.equivalent_diameter_mm == pytest.approx(2 * np.sqrt(3 / np.pi))
    assert found.perimeter_mm == pytest.approx(0.05 * found.perimeter)


def test_a_smaller_copy_of_the_image_gives_the_same_colours(ellipse: Callable[..., Mask]) -> None:
    mask = np.kron(ellipse(120, 80, 0.5), np.ones((2, 2), bool))
    image = drawn(mask)
    assert image.shape == (800, 1000, 3)
    found, small = measure_lesion(mask, image), measure_lesion(mask, view_of(Image.fromarray(image)))
    assert (found.colours, small.colours) == (1, 1)
    assert dataclasses.replace(found, colour_spread=0) == dataclasses.replace(small, colour_spread=0)


@pytest.mark.parametrize("mask", [np.zeros((30, 40), bool), np.eye(1, dtype=bool), np.ones((30, 40), bool)])
def test_nothing_one_pixel_and_everything_are_measured(mask: Mask) -> None:
    found = dataclasses.asdict(measure_lesion(mask, drawn(mask), 0.1))
    assert all(value is None or np.isfinite(value) for value in found.values())
    assert found["area"] == mask.sum()
    assert (found["centroid_x"] is None) == (not mask.any())
