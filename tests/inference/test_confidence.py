from dataclasses import replace

import numpy as np
import pytest
import torch

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.inference.confidence import applicable_calibration, certainty_of, raise_flags
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.postprocessing import DEFAULT, PostProcessing
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters.calibration import Quality, StyleCalibration
from mlffm_segdiff.segmenters.network_output import NetworkOutput

SKIN = np.full((8, 8, 3), (214, 170, 150), np.uint8)  # L* 73, a* 14, b* 16
LESION = np.zeros((20, 30), bool)
LESION[5:10, 5:10] = True


def known(
    sharpness: tuple[float, float] = (0, 1e9),
    lightness: tuple[float, float] = (0, 100),
    red_green: tuple[float, float] = (-200, 200),
) -> Quality:
    return Quality(
        sampling=SamplingConfig(samples=1),
        sources=("ph2",),
        cases=3,
        training_images=3,
        split="",
        styles={"any": StyleCalibration(calibration=Calibration((0.5, 1.0), (0.4, 0.9)))},
        limits=QualityLimits(sharpness, lightness, red_green, (-200, 200)),
    )


def test_the_certainty_by_hand() -> None:
    probability = np.float32([[0.9, 0.6], [0.4, 0.1]])
    assert certainty_of(NetworkOutput(probability, probability)) == pytest.approx(0.75)  # 2 * 1.5 / (2 + 2)
    assert certainty_of(NetworkOutput(0 * probability, probability)) == 0.0


def test_a_calibration_applies_only_to_masks_made_in_its_way() -> None:
    model = Model(None, 8, SamplingConfig(samples=1), torch.device("cpu"), known())
    of_any, of_ph2 = (StyleCalibration(calibration=Calibration((0.5,), (dice,))) for dice in (0.4, 0.6))
    both = known().model_copy(update={"styles": {"any": of_any, "ph2": of_ph2}})
    styled = replace(model, quality=both, sampling=SamplingConfig(samples=1, style="ph2"))
    assert applicable_calibration(model, 0.5, DEFAULT) == known().styles["any"]
    assert applicable_calibration(styled, 0.5, DEFAULT) == of_ph2
    assert applicable_calibration(model, 0.5, PostProcessing(keep_specks=True)) is not None
    assert applicable_calibration(replace(model, quality=None), 0.5, DEFAULT) is None
    assert applicable_calibration(model, 0.4, DEFAULT) is None
    assert applicable_calibration(replace(styled, quality=known()), 0.5, DEFAULT) is None
    for post in (PostProcessing(largest=True), PostProcessing(fill_holes=True)):
        assert applicable_calibration(model, 0.5, post) is None


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
