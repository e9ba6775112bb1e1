from dataclasses import replace

import numpy as np
import pytest
import torch

from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.inference.confidence import certainty_of, expected_dice, raise_flags
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.postprocessing import DEFAULT, PostProcessing
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters.at_source import NetworkOutput
from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.segmenters.calibration import Quality

SKIN = np.full((8, 8, 3), (214, 170, 150), np.uint8)  # L* 73, a* 14, b* 16
LESION = np.zeros((20, 30), bool)
LESION[5:10, 5:10] = True


def known(
    sharpness: tuple[float, float] = (0, 1e9),
    lightness: tuple[float, float] = (0, 100),
    red_green: tuple[float, float] = (-200, 200),
) -> Quality:
    return Quality(
        sampling=Sampling(samples=1),
        sources=("ph2",),
        cases=3,
        training_images=3,
        split="",
        calibration=Calibration((0.5, 1.0), (0.4, 0.9)),
        limits=QualityLimits(sharpness, lightness, red_green, (-200, 200)),
    )


def test_the_certainty_by_hand() -> None:
    probability = np.float32([[0.9, 0.6], [0.4, 0.1]])
    assert certainty_of(NetworkOutput(probability, probability)) == pytest.approx(0.75)  # 2 * 1.5 / (2 + 2)
    assert certainty_of(NetworkOutput(0 * probability, probability)) == 0.0


def test_without_a_calibration_of_such_masks_there_is_no_expected_dice() -> None:
    model = Model(None, 8, Sampling(samples=1), torch.device("cpu"), known())
    assert expected_dice(0.75, model, 0.5, DEFAULT) == pytest.approx(0.65)
    assert expected_dice(0.75, model, 0.5, PostProcessing(keep_specks=True)) == pytest.approx(0.65)
    assert expected_dice(0.75, replace(model, quality=None), 0.5, DEFAULT) is None
    assert expected_dice(0.75, model, 0.4, DEFAULT) is None
    assert expected_dice(0.75, replace(model, sampling=Sampling(style="ph2")), 0.5, DEFAULT) is None
    for post in (PostProcessing(largest=True), PostProcessing(fill_holes=True)):
        assert expected_dice(0.75, model, 0.5, post) is None


def test_a_lesion_inside_the_frame_raises_no_flag() -> None:
    assert raise_flags(LESION, 1, SKIN, known()) == ()
    assert raise_flags(LESION, 1, SKIN, None) == ()


@pytest.mark.parametrize("place", [(0, 7), (19, 7), (7, 0), (7, 29)])
def test_a_lesion_at_any_side_touches_the_frame(place: tuple[int, int]) -> None:
    mask = LESION.copy()
    mask[place] = True
    assert raise_flags(mask, 2, SKIN, None) == ("touches_frame", "several_components")


def test_nothing_found_is_the_only_flag_about_the_mask() -> None:
    assert raise_flags(np.zeros((4, 4), bool), 0, SKIN, known(lightness=(0, 50))) == (
        "nothing_found",
        "unusual_colour",
    )


def test_an_image_unlike_the_training_images_is_flagged() -> None:
    assert raise_flags(LESION, 1, SKIN, known(sharpness=(1, 100))) == ("blurred",)
    assert raise_flags(LESION, 1, SKIN, known(lightness=(80, 100))) == ("too_dark",)
    assert raise_flags(LESION, 1, SKIN, known(lightness=(0, 60))) == ("unusual_colour",)
    assert raise_flags(LESION, 1, SKIN, known(red_green=(-200, 0))) == ("unusual_colour",)
    assert raise_flags(LESION, 1, SKIN, None) == ()
