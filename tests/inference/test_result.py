import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.inference.analysis import Processing, analyse
from mlffm_segdiff.inference.estimates import Estimate
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.postprocessing import AS_THRESHOLDED, PostProcessing, post_process
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.case_bounds import Bounds
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters.calibration import Quality, SetBounds, StyleCalibration
from mlffm_segdiff.segmenters.network_output import NetworkOutput

MakeModel = Callable[..., Model]
FindMask = Callable[..., CaseResult]


def image(height: int, width: int) -> CaseImage:
    return CaseImage(height, width, np.zeros((2, 2, 3), np.uint8))


def segmentation(
    probability: npt.NDArray[np.float32], spread: npt.NDArray[np.float32] | None = None, samples: int = 0
) -> NetworkOutput:
    around = np.zeros_like(probability) if spread is None else spread
    return NetworkOutput(probability, around, np.stack([probability] * samples) if samples else None)


def test_maps_have_the_images_size_and_the_threshold_belongs_to_the_lesion(red_model: MakeModel) -> None:
    # Two columns 0 and 1 stretched to eight: bilinear between pixel centres at 2 and 6 (from the left edge).
    probability = np.float32([[0, 1], [0, 1]])
    how = Processing(threshold=0.375)
    found = analyse(image(3, 8), segmentation(probability, probability / 2, 2), red_model(), how)
    row = np.float32([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    np.testing.assert_allclose(found.probability, np.tile(row, (3, 1)), atol=1e-6)
    np.testing.assert_allclose(found.spread, np.tile(row / 2, (3, 1)), atol=1e-6)
    np.testing.assert_array_equal(found.mask, np.tile(row >= 0.375, (3, 1)))
    assert found.mask.sum() == 15


def test_fewer_than_two_samples_have_no_spread(red_model: MakeModel) -> None:
    for samples in (0, 1):
        maps = segmentation(np.ones((2, 2), np.float32), None, samples)
        found = analyse(image(3, 8), maps, red_model(samples=samples))
        assert found.spread.dtype == np.float32
        np.testing.assert_array_equal(found.spread, np.zeros((3, 8)))
        assert found.measures.mean_spread is None


def test_the_mean_spread_is_over_what_may_be_lesion(red_model: MakeModel) -> None:
    maps = segmentation(np.float32([[0.9, 0.05, 0.04, 0.0]]), np.float32([[0.1, 0.3, 0.4, 0.5]]), 3)
    assert analyse(image(1, 4), maps, red_model()).measures.mean_spread == pytest.approx(0.2)
    nothing = segmentation(np.zeros((2, 2), np.float32), None, 3)
    assert analyse(image(2, 2), nothing, red_model()).measures.mean_spread == 0.0


def test_a_mask_drawn_by_a_person_is_certain_and_is_not_judged(found_mask: FindMask) -> None:
    mask = np.zeros((20, 30), bool)
    mask[0:5, 5:10] = True
    found = found_mask(mask)
    np.testing.assert_array_equal(found.probability, mask)
    assert not found.spread.any()
    assert (found.certainty, found.expected_dice, found.measures.mean_spread) == (None, None, None)
    assert (found.measures.area, found.flags) == (25, ("touches_frame",))


def test_the_mask_is_post_processed(red_model: MakeModel) -> None:
    probability = np.zeros((40, 50), np.float32)
    probability[5:35, 5:40], probability[15:20, 15:20], probability[38, 45] = 0.9, 0.1, 0.9
    steps = PostProcessing(largest=True, fill_holes=True)
    plain, cleaned = (
        analyse(image(40, 50), segmentation(probability), red_model(), Processing(post=post)).mask
        for post in (AS_THRESHOLDED, steps)
    )
    np.testing.assert_array_equal(plain, probability >= 0.5)
    np.testing.assert_array_equal(cleaned, post_process(plain, steps))
    assert cleaned.sum() == 30 * 35


BOUNDS = Bounds(
    inner=0.7, outer=0.2, mean_inner=0.5, mean_outer=0.3, area_low=2, area_high=1, dice_low=1, dice_high=1
)


def calibrated(model: Model, **sets: SetBounds) -> Model:
    """Return a model whose certainties 0.5 and 1 mean a Dice of 0.4 and 0.9."""
    curve = Calibration((0.5, 1.0), (0.4, 0.9))
    known = Quality(
        sampling=model.sampling,
        sources=("ph2",),
        cases=3,
        training_images=3,
        split="",
        styles={"any": StyleCalibration(calibration=curve, sets=sets)},
        limits=QualityLimits((0, 1e9), (0, 100), (-200, 200), (-200, 200)),
    )
    return replace(model, quality=known)


UNSURE = np.float32([[0.9, 0.6], [0.4, 0.1]])  # certainty 2 * 1.5 / (2 + 2)


def test_the_expected_dice_is_the_calibrated_certainty(red_model: MakeModel) -> None:
    model = calibrated(red_model())
    found = analyse(image(2, 2), segmentation(UNSURE), model)
    assert found.certainty == pytest.approx(0.75)
    assert found.expected_dice == Estimate(pytest.approx(0.65))
    assert analyse(image(2, 2), segmentation(UNSURE), red_model()).expected_dice is None
    mirrored = replace(model, sampling=model.sampling.model_copy(update={"mirror": True}))
    assert analyse(image(2, 2), segmentation(UNSURE), mirrored).expected_dice is None


def test_intervals_and_contours_follow_the_bounds(red_model: MakeModel) -> None:
    model = calibrated(red_model(), ph2=SetBounds(cases=20, levels={0.9: BOUNDS}))
    found = analyse(replace(image(2, 2), mm_per_pixel=0.5), segmentation(UNSURE), model)
    assert (found.levels, found.calibration_cases) == ((0.9,), {"ph2": 20})
    # 0.5 of 4 pixels, times exp(-2 * 0.26) and exp(0.26); both exponents doubled for the lowest contrast
    low, high = 4 * (0.501 * math.exp(-1.04) - 0.001), 4 * (0.501 * math.exp(0.52) - 0.001)
    assert found.area == Estimate(2, {0.9: pytest.approx((low, high))})
    assert found.area_mm2 == Estimate(0.5, {0.9: pytest.approx((low / 4, high / 4))})
    round_of = [math.sqrt(4 * area / math.pi) for area in (2, low, high)]
    assert found.equivalent_diameter == Estimate(round_of[0], {0.9: pytest.approx(tuple(round_of[1:]))})
    assert found.equivalent_diameter_mm == found.equivalent_diameter.scaled(0.5)
    assert found.expected_dice is not None
    usual = 0.255**1.25
    ends = (1.005 - usual * math.e, 1.005 - usual / math.e)
    assert found.expected_dice.interval() == pytest.approx(ends)
    # the logits of 0.7, 0.2 and 0.3, doubled: 0.49 / 0.58, 0.04 / 0.68 and 0.09 / 0.58
    for mean, inner, outer in (
        (False, UNSURE >= 0.845, UNSURE >= 0.059),
        (True, UNSURE >= 0.5, UNSURE >= 0.155),
    ):
        band = found.contours(0.9, mean=mean)
        assert band is not None
        np.testing.assert_array_equal(band.inner, inner)
        np.testing.assert_array_equal(band.outer, outer)
    with pytest.raises(UserError, match=r"level 0.8 is not calibrated; choose from 0.9"):
        found.contours(0.8)


def test_the_contrast_is_the_distance_of_the_mean_colours(red_model: MakeModel) -> None:
    black_and_white = np.uint8([[[0] * 3, [255] * 3], [[0] * 3, [255] * 3]])
    case = CaseImage(4, 4, black_and_white)
    dark = np.float32([[1, 0], [1, 0]])
    assert analyse(case, segmentation(dark), red_model()).contrast == pytest.approx(100, abs=0.1)  # L* 0, 100
    assert analyse(case, segmentation(np.float32([[1, 1], [0, 0]])), red_model()).contrast == 0
    for whole in (np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)):
        assert analyse(case, segmentation(whole), red_model()).contrast == 0


def test_intervals_hold_the_number_of_the_mask(red_model: MakeModel) -> None:
    bounds = replace(BOUNDS, area_low=-1, area_high=3, dice_low=-2, dice_high=3)
    model = calibrated(red_model(), ph2=SetBounds(cases=20, levels={0.9: bounds}))
    found = analyse(image(2, 2), segmentation(UNSURE), model)
    for estimate in (found.area, found.expected_dice):
        assert estimate is not None
        assert estimate.interval() is not None
        assert estimate.interval()[0] == estimate.value


def test_without_a_calibration_there_are_no_intervals(red_model: MakeModel) -> None:
    model = calibrated(red_model(), ph2=SetBounds(cases=20, levels={0.9: BOUNDS}))
    other = replace(model, sampling=model.sampling.model_copy(update={"mirror": True}))
    for result in (
        analyse(image(2, 2), segmentation(UNSURE), red_model()),
        analyse(image(2, 2), segmentation(UNSURE), other),
        analyse(image(2, 2), segmentation(UNSURE), model, Processing(threshold=0.4)),
        CaseResult(image(2, 2), UNSURE >= 0.5),
    ):
        assert (result.levels, result.calibration_cases, result.contours()) == ((), {}, None)
        assert (result.area.interval(), result.area_mm2, result.expected_dice) == (None, None, None)
        assert result.area.value == result.mask.sum()


def test_the_spacing_requested_overrides_that_of_the_file(red_model: MakeModel) -> None:
    maps, case = segmentation(np.ones((2, 2), np.float32)), replace(image(2, 2), mm_per_pixel=0.5)
    assert analyse(case, maps, red_model()).measures.area_mm2 == 1
    assert analyse(case, maps, red_model(), Processing(mm_per_pixel=2)).measures.area_mm2 == 16


@given(st.floats(0, 1, exclude_min=True))
def test_a_threshold_is_a_probability_above_zero(threshold: float) -> None:
    assert Processing(threshold).threshold == threshold


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.01, float("nan")])
def test_other_thresholds_are_refused(threshold: float) -> None:
    with pytest.raises(UserError, match="threshold"):
        Processing(threshold)


def test_a_level_that_no_weights_offer_is_refused() -> None:
    with pytest.raises(UserError, match=r"level 0\.99 is not calibrated; choose from 0\.8, 0\.9, 0\.95"):
        Processing(level=99)


@pytest.mark.parametrize("spacing", [0, -1, float("nan"), float("inf"), 1e-7, 1001, 1e160])
def test_a_pixel_has_a_plausible_size(spacing: float) -> None:
    with pytest.raises(UserError, match="mm per pixel is out of range"):
        Processing(mm_per_pixel=spacing)
