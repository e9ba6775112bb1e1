import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.metrics.case_bounds import Bounds
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters.calibration import QUALITY, Quality, SetBounds, StyleCalibration
from mlffm_segdiff.segmenters.companions import Companions
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.segmenters.saved_weights import weights_digest

EVERYTHING = (0.0, 100.0)
NARROW = Bounds(0.6, 0.4, 0.5, 0.5, 1.0, 2.0, 0.5, 0.6)
WIDE = Bounds(0.7, 0.3, 0.5, 0.5, 0.9, 3.0, 0.7, 0.1)
KNOWN = Quality(
    sampling=SamplingConfig(samples=1, steps=4),
    sources=("ph2",),
    cases=20,
    training_images=80,
    split="abc",
    styles={
        "any": StyleCalibration(
            calibration=Calibration((0.2, 0.8), (0.5, 0.9)),
            sets={"ph2": SetBounds(cases=20, levels={0.8: NARROW})},
        )
    },
    limits=QualityLimits(EVERYTHING, EVERYTHING, (-100.0, 100.0), (-100.0, 100.0)),
)


@pytest.fixture
def weights(untrained: Callable[..., Path]) -> Path:
    return untrained("isic2018", "model.size=tiny", "data.size=32")


def test_a_calibration_comes_back_as_written(tmp_path: Path) -> None:
    path = QUALITY.write(KNOWN, tmp_path)
    assert QUALITY.read(tmp_path) == KNOWN
    written = json.loads(path.read_text())["styles"]["any"]
    assert written["calibration"] == {"certainty": [0.2, 0.8], "dice": [0.5, 0.9]}
    assert written["sets"]["ph2"]["levels"]["0.8"]["outer"] == 0.4


def test_weights_carry_their_own_and_no_others(weights: Path) -> None:
    assert load_pretrained(weights).quality is None
    QUALITY.write(KNOWN, weights, weights_digest(weights / "model.safetensors"))
    assert load_pretrained(weights).quality == KNOWN
    QUALITY.write(KNOWN, weights, "0" * 64)
    assert load_pretrained(weights).quality is None


def test_a_calibration_is_saved_with_its_weights(weights: Path, tmp_path: Path) -> None:
    QUALITY.write(KNOWN, weights, weights_digest(weights / "model.safetensors"))
    pretrained = load_pretrained(weights)
    pretrained.segmenter.half()
    copy = tmp_path / "copy"
    pretrained.save_pretrained(copy, config={"recipe": pretrained.recipe.model_dump(mode="json")})
    assert weights_digest(copy / "model.safetensors") != weights_digest(weights / "model.safetensors")
    found = load_pretrained(copy).quality
    assert found is not None
    assert found.styles == KNOWN.styles


def test_a_calibration_is_not_saved_with_weights_that_have_changed_since(
    weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    QUALITY.write(KNOWN, weights, weights_digest(weights / "model.safetensors"))
    pretrained, copy = load_pretrained(weights), tmp_path / "copy"
    with torch.no_grad():
        next(pretrained.segmenter.parameters()).neg_()
    config = {"recipe": pretrained.recipe.model_dump(mode="json")}
    pretrained.save_pretrained(copy, config=config)
    (message,) = caplog.messages
    assert message.endswith("are left out; make new ones by evaluate --calibrate")
    assert load_pretrained(copy).quality is None
    pretrained.companions = Companions(KNOWN, None, None)
    pretrained.save_pretrained(tmp_path / "new", config=config)
    assert load_pretrained(tmp_path / "new").quality is not None


@pytest.mark.parametrize(
    "change",
    [
        {"samples": 8},
        {"steps": 8},
        {"sampler": "ddpm"},
        {"fusion": "staple"},
        {"mirror": True},
        {"style": "ph2"},
        {"widening": 2.0},
        {"logit_spread": 2.0},
        {"samples": 0, "second_look": True},
    ],
)
def test_a_calibration_holds_for_no_other_sampling(change: dict[str, object]) -> None:
    calibrated = SamplingConfig(samples=4, steps=4)
    known = KNOWN.model_copy(update={"sampling": calibrated})
    assert known.mismatch(calibrated.model_copy(update={"seed": 3})) == ""
    found = known.mismatch(calibrated.model_copy(update=change))
    assert f"sampling.{next(iter(change))}=" in found


def test_what_only_concerns_samples_does_not_matter_for_the_posterior_mean() -> None:
    known = KNOWN.model_copy(update={"sampling": SamplingConfig()})
    other = SamplingConfig(steps=9, sampler="ddpm", widening=2.0, seed=3)
    assert known.mismatch(other) == ""
    assert (
        known.mismatch(other.model_copy(update={"style": "ph2", "mirror": True}))
        == "sampling.mirror=False, sampling.style=any"
    )
    assert known.mismatch(other.model_copy(update={"samples": 2})) == "sampling.samples=0"


def test_a_style_with_its_own_calibration_may_be_chosen() -> None:
    styles = KNOWN.styles | {"ph2": KNOWN.styles["any"]}
    known = KNOWN.model_copy(update={"styles": styles})
    assert known.mismatch(KNOWN.sampling.model_copy(update={"style": "ph2"})) == ""
    assert (
        known.mismatch(KNOWN.sampling.model_copy(update={"style": "ph2", "mirror": True}))
        == "sampling.mirror=False"
    )
    assert known.mismatch(KNOWN.sampling.model_copy(update={"style": "isic2018"})) == "sampling.style=any"


def test_several_sets_give_the_most_conservative_bounds_of_those_with_all_levels() -> None:
    known = KNOWN.styles["any"].model_copy(
        update={
            "sets": {
                "a": SetBounds(cases=50, levels={0.8: NARROW, 0.9: NARROW}),
                "b": SetBounds(cases=60, levels={0.8: WIDE, 0.9: WIDE}),
                "few": SetBounds(cases=9, levels={0.8: Bounds(0.9, 0.1, 0.9, 0.1, 9, 9, 9, 9)}),
            }
        }
    )
    widest = Bounds(0.7, 0.3, 0.5, 0.5, 1.0, 3.0, 0.7, 0.6)
    assert known.bounds == {0.8: widest, 0.9: widest}
    assert known.cases == {"a": 50, "b": 60}
    none = KNOWN.styles["any"].model_copy(update={"sets": {"few": SetBounds(cases=5, levels={})}})
    assert (none.bounds, none.cases) == ({}, {})


def test_a_small_set_with_borrowed_levels_does_not_take_part_where_others_guarantee_more() -> None:
    small = SetBounds(cases=20, levels=dict.fromkeys((0.8, 0.9, 0.95, 0.975), WIDE), lenders=("a",))
    assert small.guaranteed == (0.8, 0.9)
    large = SetBounds(cases=80, levels=dict.fromkeys((0.8, 0.9, 0.95, 0.975), NARROW))
    some = SetBounds(cases=40, levels=dict.fromkeys((0.8, 0.9, 0.95), NARROW))
    found = StyleCalibration(calibration=Calibration((0.5,), (0.5,)), sets={"small": small, "a": large})
    assert (found.cases, found.levels) == ({"a": 80}, (0.8, 0.9, 0.95))
    assert list(found.bounds) == [0.8, 0.9, 0.95, 0.975]
    with_some = StyleCalibration(calibration=found.calibration, sets={"a": large, "some": some})
    assert (with_some.cases, list(with_some.bounds)) == ({"a": 80, "some": 40}, [0.8, 0.9, 0.95])
    alone = found.model_copy(update={"sets": {"small": small}})
    assert (alone.cases, alone.levels) == ({"small": 20}, (0.8, 0.9, 0.95))


@pytest.mark.parametrize("text", ["", "{", '{"format": 2}', '{"format": 3}'])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "quality.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"quality\.json cannot be read .*calibrate again"):
        QUALITY.read(tmp_path)


def test_the_weights_of_the_package_are_calibrated() -> None:
    found = load_pretrained("default").quality
    assert found is not None
    assert found.cases > 100
    assert not found.mismatch(load_pretrained("default").sampling)
