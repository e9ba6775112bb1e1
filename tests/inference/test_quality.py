from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.inference.model import Answer, Model, Picture
from mlffm_segdiff.inference.postprocessing import PostProcessing
from mlffm_segdiff.inference.quality import case_certainty, expected_dice, flags
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.segmenters.calibration import Quality

MakeModel = Callable[..., Model]
SKIN = np.full((8, 8, 3), (214, 170, 150), np.uint8)  # L* 73, a* 14, b* 16
LESION = np.zeros((20, 30), bool)
LESION[5:10, 5:10] = True


def known(
    sharpness: tuple[float, float] = (0, 1e9),
    lightness: tuple[float, float] = (0, 100),
    red_green: tuple[float, float] = (-200, 200),
) -> Quality:
    return Quality(
        sampler="ddim",
        fusion="mean",
        steps=4,
        samples=1,
        sources=("ph2",),
        cases=3,
        training_pictures=3,
        split="",
        calibration=Calibration((0.5, 1.0), (0.4, 0.9)),
        limits=QualityLimits(sharpness, lightness, red_green, (-200, 200)),
    )


@pytest.fixture
def answer() -> Answer:
    """Certainty 2 * 1.5 / (2 + 2) = 0.75."""
    probability = np.float32([[0.9, 0.6], [0.4, 0.1]])
    return Answer(Picture(SKIN, 20, 30), probability, np.zeros_like(probability))


def test_the_expected_dice_is_the_calibrated_certainty(answer: Answer, red_model: MakeModel) -> None:
    assert case_certainty(answer) == pytest.approx(0.75)
    model = replace(red_model(), quality=known())
    assert expected_dice(answer, model) == pytest.approx(0.65)


def test_without_a_calibration_of_such_masks_there_is_none(answer: Answer, red_model: MakeModel) -> None:
    model = replace(red_model(), quality=known())
    assert expected_dice(answer, red_model()) is None
    assert expected_dice(answer, model, threshold=0.4) is None
    assert expected_dice(answer, replace(model, sampling=Sampling(fusion="staple"))) is None
    assert expected_dice(answer, model, post=PostProcessing(keep_specks=True)) == expected_dice(answer, model)
    for post in (PostProcessing(largest=True), PostProcessing(fill_holes=True)):
        assert expected_dice(answer, model, post=post) is None


def test_nothing_found_is_not_certain(answer: Answer) -> None:
    assert case_certainty(replace(answer, probability=np.full((2, 2), 0.1, np.float32))) == 0.0


def test_a_lesion_inside_the_frame_raises_no_flag() -> None:
    assert flags(LESION, 1, SKIN, known()) == ()
    assert flags(LESION, 1, SKIN, None) == ()


@pytest.mark.parametrize("place", [(0, 7), (19, 7), (7, 0), (7, 29)])
def test_a_lesion_at_any_side_touches_the_frame(place: tuple[int, int]) -> None:
    mask = LESION.copy()
    mask[place] = True
    assert flags(mask, 2, SKIN, None) == ("touches_frame", "several_parts")


def test_nothing_found_stands_alone_of_the_masks_flags() -> None:
    assert flags(np.zeros((4, 4), bool), 0, SKIN, known(lightness=(0, 50))) == (
        "nothing_found",
        "unusual_colour",
    )


def test_a_picture_beyond_the_training_pictures_is_told() -> None:
    assert flags(LESION, 1, SKIN, known(sharpness=(1, 100))) == ("blurred",)
    assert flags(LESION, 1, SKIN, known(lightness=(80, 100))) == ("too_dark",)
    assert flags(LESION, 1, SKIN, known(lightness=(0, 60))) == ("unusual_colour",)
    assert flags(LESION, 1, SKIN, known(red_green=(-200, 0))) == ("unusual_colour",)
    assert flags(LESION, 1, SKIN, None) == ()
