import logging
from pathlib import Path

import numpy as np
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.outliers import (
    LEVEL,
    MIN_CASES,
    OUTLIERS,
    OutlierDetector,
    OutlierScore,
    fit_detector,
)
from mlffm_segdiff.segmenters.pretrained import load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

MIXING = np.random.default_rng(0).normal(size=(6, 6))


def drawn(generator: np.random.Generator, count: int, shift: float = 0.0) -> np.ndarray:
    return generator.normal(size=(count, 6)) @ MIXING + shift


def fitted(seed: int, cases: int = 199, training: int = 100) -> OutlierDetector:
    generator = np.random.default_rng(seed)
    groups = [{"a": drawn(generator, n), "b": drawn(generator, n, 40.0)} for n in (training, cases)]
    found = fit_detector(*groups)
    assert found is not None
    return found


def flagged(detector: OutlierDetector, features: np.ndarray) -> float:
    return float(np.mean([detector.score(one).flagged for one in features]))


@pytest.mark.parametrize(("cases", "used"), [(199, 199), (20, 120)])
def test_false_alarms_are_as_rare_as_promised(cases: int, used: int) -> None:
    shares = []
    for seed in range(150):
        detector = fitted(seed, cases)
        assert (detector.sets["a"].cases, detector.sets["a"].cross_fitted) == (used, cases != used)
        shares.append(flagged(detector, drawn(np.random.default_rng(1000 + seed), 40)))
    error = np.std(shares) / len(shares) ** 0.5
    assert np.mean(shares) + 3 * error > 0.018  # no wider than it has to be
    assert np.mean(shares) - 3 * error < 1 - LEVEL


def test_false_alarms_of_a_small_set_with_many_features_are_as_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Components chosen for images that are then held out would give these too large distances."""
    monkeypatch.setattr("mlffm_segdiff.segmenters.outliers.FOLDS", 5)  # faster
    mixing = np.random.default_rng(0).normal(size=(80, 80)) * 0.97 ** np.arange(80)[:, None]
    shares = []
    for seed in range(80):
        points = np.random.default_rng(seed).normal(size=(1100, 80)) @ mixing
        found = fit_detector({"a": points[:80]}, {"a": points[80:100]})
        assert found is not None
        assert found.sets["a"].cross_fitted
        shares.append(np.mean(found.distances(points[100:])["a"] > found.sets["a"].limit))
    error = np.std(shares) / len(shares) ** 0.5
    assert np.mean(shares) == pytest.approx(1 - LEVEL, abs=0.01 + 3 * error)


@pytest.mark.parametrize("scale", [1.0, 3e-6, 1e-9])
def test_a_feature_that_hardly_varies_is_left_out(scale: float, tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(400, 20))
    features[:, 3] *= scale
    found = fit_detector({"a": features[:300]}, {"a": features[300:]})
    assert found is not None
    OUTLIERS.write(found, tmp_path, "digest")
    read = OUTLIERS.read(tmp_path, "digest")
    assert read is not None
    assert read.score(features[0]).score == pytest.approx(found.score(features[0]).score, rel=1e-3)


def test_features_too_small_for_the_files_number_format_have_no_detector() -> None:
    features = 1e-7 * np.random.default_rng(0).normal(size=(400, 20))
    assert fit_detector({"a": features[:300]}, {"a": features[300:]}) is None


def test_images_of_each_set_pass_and_those_between_are_outliers() -> None:
    detector = fitted(0)
    generator = np.random.default_rng(1)
    for name, shift in (("a", 0.0), ("b", 40.0)):
        points = drawn(generator, 100, shift)
        assert flagged(detector, points) < 0.1
        assert {detector.score(one).nearest for one in points} == {name}
    assert flagged(detector, drawn(generator, 100, 20.0)) == 1


def test_an_image_between_the_kinds_of_one_set_is_an_outlier() -> None:
    generator = np.random.default_rng(0)
    kinds = [np.concatenate([drawn(generator, n), drawn(generator, n, 40.0)]) for n in (200, 100)]
    detector = fit_detector({"a": kinds[0]}, {"a": kinds[1]})
    assert detector is not None
    assert flagged(detector, drawn(generator, 100)) < 0.1
    assert flagged(detector, drawn(generator, 100, 20.0)) == 1


def test_the_threshold_is_the_limit_and_nan_is_an_outlier() -> None:
    assert [OutlierScore(score, "a").flagged for score in (0.5, 1.0, 1.01, float("nan"))] == [
        False,
        False,
        True,
        True,
    ]


def test_a_set_with_few_training_images_is_joined_with_the_others() -> None:
    generator = np.random.default_rng(0)
    training = {"a": drawn(generator, 50), "b": drawn(generator, MIN_CASES - 1)}
    found = fit_detector(training, {"a": drawn(generator, 40), "b": drawn(generator, 2)})
    assert found is not None
    assert {name: (one.training, one.cases) for name, one in found.sets.items()} == {"all": (82, 42)}
    assert fit_detector({"b": training["b"]}, {"b": drawn(generator, 40)}) is None


@pytest.mark.parametrize("count", [33, 60])
def test_nearly_as_many_features_as_training_images_or_more_are_no_problem(count: int) -> None:
    """Without a fold, the images span fewer dimensions than with it."""
    generator = np.random.default_rng(0)
    found = fit_detector({"a": generator.normal(size=(count, 64))}, {"a": generator.normal(size=(5, 64))})
    assert found is not None
    assert found.sets["a"].cases == count + 5
    assert flagged(found, generator.normal(size=(1000, 64))) < 2 * (1 - LEVEL)
    assert flagged(found, generator.normal(size=(100, 64)) + 20) == 1


def test_copies_of_an_image_count_once() -> None:
    generator = np.random.default_rng(0)
    images, new = drawn(generator, MIN_CASES), drawn(generator, 40)
    once, several = (fit_detector({"a": one}, {"a": new}) for one in (images, np.tile(images, (20, 1))))
    assert once is not None
    assert several is not None
    assert several.sets == once.sets
    copies = np.tile(images[:1], (500, 1))
    assert fit_detector({"a": copies}, {"a": copies}) is None
    assert fit_detector({"a": copies, "b": images[1:]}, {"a": copies, "b": new}) is not None


def test_a_detector_comes_back_as_written(tmp_path: Path) -> None:
    detector = fitted(3, training=400)
    OUTLIERS.write(detector, tmp_path, "abc")
    found = OUTLIERS.read(tmp_path, "abc")
    assert found is not None
    assert found.sets == detector.sets
    for point in drawn(np.random.default_rng(4), 5):
        assert found.score(point).score == pytest.approx(detector.score(point).score, rel=1e-6)


def test_weights_carry_their_own_detector_and_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = load_recipe("isic2018", ["model.size=tiny", "data.size=32"])
    save_segmenter(build_segmenter(recipe), recipe, tmp_path / "weights")
    pretrained = load_pretrained(tmp_path / "weights")
    assert pretrained.outliers is None
    pretrained.outliers = fitted(0)
    pretrained.save_pretrained(tmp_path / "copy", config={"recipe": recipe.model_dump(mode="json")})
    kept = load_pretrained(tmp_path / "copy").outliers
    assert kept is not None
    OUTLIERS.write(kept, tmp_path / "copy", "0" * 64)
    with caplog.at_level(logging.WARNING):
        assert load_pretrained(tmp_path / "copy").outliers is None
    assert "was made for other weights" in caplog.text


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"", lambda data: data[:-8]])
def test_a_damaged_file_is_one_error(tmp_path: Path, damage: object) -> None:
    path = OUTLIERS.write(fitted(0), tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="remove it, or calibrate again"):
        OUTLIERS.read(tmp_path)
