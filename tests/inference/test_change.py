"""Compared with worked cases, and with the frequency of errors in simulated pairs."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.analysis import analyse
from mlffm_segdiff.inference.change import measure_change
from mlffm_segdiff.inference.estimates import Estimate
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.segmenters.network_output import NetworkOutput

MakeModel = Callable[..., Model]


class Measured:
    """Stands for a result with this area in an image of 100 pixels."""

    def __init__(
        self, area: float, mm_per_pixel: float | None = None, **intervals: tuple[float, float]
    ) -> None:
        named = {float(name.removeprefix("at_").replace("_", ".")): ends for name, ends in intervals.items()}
        self.mask = np.zeros((10, 10), bool)
        self.mm_per_pixel = mm_per_pixel
        self.area = Estimate(area, named)
        self.area_mm2 = self.area.scaled(mm_per_pixel**2) if mm_per_pixel else None


def test_a_worked_case_in_square_millimetres() -> None:
    before = Measured(40, 0.5, at_0_8=(38, 42), at_0_9=(36, 48), at_0_95=(32, 52), at_0_975=(28, 60))
    after = Measured(90, 0.5, at_0_8=(80, 94), at_0_9=(60, 96), at_0_95=(56, 100), at_0_975=(48, 104))
    found = measure_change(before, after)
    assert (found.unit, found.levels) == ("mm2", (0.8, 0.9, 0.95))
    assert (found.before.value, found.after.value, found.difference.value) == (10, 22.5, 12.5)
    assert (found.before.interval(0.9), found.after.interval(0.9)) == ((8, 13), (14, 25))
    assert found.difference.interval(0.9) == (1, 17)
    assert found.ratio.value == 2.25
    assert found.ratio.interval(0.9) == pytest.approx((14 / 13, 25 / 8))
    assert found.is_certain()
    assert found.is_certain(80)
    assert found.difference.interval(95) == (-3, 19)
    assert not found.is_certain(95)


def test_areas_without_a_common_unit_are_shares_of_the_image() -> None:
    found = measure_change(Measured(40, 0.5, at_0_95=(30, 60)), Measured(50, None, at_0_95=(40, 60)))
    assert (found.unit, found.before.value, found.after.value) == ("share", 0.4, 0.5)
    assert found.difference.interval(0.9) == pytest.approx((-0.2, 0.3))
    assert found.is_certain() is False


def test_levels_that_the_areas_cannot_support_are_left_out() -> None:
    areas = Measured(40, at_0_8=(30, 60), at_0_9=(20, 70)), Measured(90, at_0_8=(80, 95), at_0_9=(75, 99))
    found = measure_change(*areas)
    assert found.levels == (0.8,)
    assert found.before.interval(0.8) == pytest.approx((0.2, 0.7))


def test_without_intervals_of_both_nothing_is_certain() -> None:
    found = measure_change(Measured(40, at_0_95=(30, 60)), Measured(90))
    assert (found.levels, found.is_certain(), found.difference.value) == ((), None, 0.5)


def test_a_lesion_that_was_not_found_has_no_ratio_and_one_that_may_be_absent_no_upper_end() -> None:
    assert measure_change(Measured(0, at_0_95=(0, 3)), Measured(9, at_0_95=(5, 10))).ratio is None
    found = measure_change(Measured(2, at_0_95=(0, 3)), Measured(9, at_0_95=(6, 10)))
    assert found.ratio.interval(0.9) == (2, math.inf)


areas = st.lists(st.floats(0.001, 100), min_size=3, max_size=3).map(sorted)


@given(areas, areas)
def test_the_difference_excludes_zero_exactly_when_the_ratio_excludes_one(
    one: list[float], other: list[float]
) -> None:
    found = measure_change(
        Measured(one[1], 1, at_0_95=(one[0], one[2])), Measured(other[1], 1, at_0_95=(other[0], other[2]))
    )
    low, high = found.ratio.interval(0.9)
    assert found.is_certain() == (low > 1 or high < 1)


@pytest.mark.parametrize("correlation", [-1.0, 0.0, 1.0])
def test_the_interval_of_the_difference_fails_no_more_often_than_its_level_says(correlation: float) -> None:
    rng = np.random.default_rng(0)
    shape = 4000
    first = rng.standard_normal(shape)
    second = correlation * first + math.sqrt(1 - correlation**2) * rng.standard_normal(shape)
    half = 1.959964  # holds 95 % of a normal distribution
    held = 0
    for one, other in zip(first, second, strict=True):
        found = measure_change(
            Measured(50 + one, 1, at_0_95=(50 + one - half, 50 + one + half)),
            Measured(50 + other, 1, at_0_95=(50 + other - half, 50 + other + half)),
        )
        held += not found.is_certain()  # the true difference is 0
    assert held / shape >= 0.9


def test_two_results_of_one_image_cannot_be_told_apart(red_model: MakeModel, calibrated: MakeModel) -> None:
    probability = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    image = CaseImage(8, 8, np.zeros((8, 8, 3), np.uint8), mm_per_pixel=0.5)
    result = analyse(image, NetworkOutput(probability, 0 * probability), calibrated(red_model()))
    found = measure_change(result, result)
    assert (found.unit, found.before.value, found.difference.value) == ("mm2", 8.0, 0.0)
    assert (found.is_certain(), found.ratio.value) == (False, 1.0)
    assert found.before.interval(0.9) == result.area_mm2.interval(0.95)
    drawn = CaseResult(replace(image), result.mask)
    assert measure_change(drawn, result).is_certain() is None


def test_lists_of_results_and_images_are_refused() -> None:
    image = CaseImage(8, 8, np.zeros((8, 8, 3), np.uint8))
    result = CaseResult(image, np.zeros((8, 8), bool))
    for wrong in ([result], "a.jpg"):
        with pytest.raises(UserError, match="no areas to compare; give one result of segment"):
            measure_change(result, wrong)
