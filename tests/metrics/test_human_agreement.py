import numpy as np
import pytest

from mlffm_segdiff.metrics.human_agreement import (
    FOLDS,
    cross_validated,
    fit_agreement,
    probability_traits,
)


def disc(softness: float, radius: float = 20.0) -> np.ndarray:
    y, x = np.mgrid[:64, :64] - 31.5
    return (1 / (1 + np.exp((np.hypot(x, y) - radius) / softness))).astype(np.float32)


def test_the_slopes_are_those_of_ridge_regression_by_its_augmented_least_squares() -> None:
    generator = np.random.default_rng(0)
    traits, agreement = generator.normal(3, 2, (80, 4)), generator.uniform(0.3, 0.9, 80)
    found = fit_agreement(traits, agreement, penalty=5.0)
    standard = (traits - traits.mean(axis=0)) / traits.std(axis=0)
    augmented = np.concatenate([standard, np.sqrt(5.0) * np.eye(4)])
    target = np.concatenate([agreement - agreement.mean(), np.zeros(4)])
    np.testing.assert_allclose(found.slopes, np.linalg.lstsq(augmented, target, rcond=None)[0])
    assert found.expected(traits.mean(axis=0)) == pytest.approx(agreement.mean())
    assert found.cases == 80


def test_a_case_does_not_influence_its_own_cross_validated_prediction() -> None:
    generator = np.random.default_rng(1)
    traits, agreement = generator.normal(size=(5 * FOLDS, 2)), generator.uniform(size=5 * FOLDS)
    changed = agreement.copy()
    changed[7] += 1
    assert cross_validated(traits, agreement)[7] == cross_validated(traits, changed)[7]


def test_a_prediction_is_a_dice() -> None:
    traits = np.linspace(0, 1, 20)[:, None]
    found = fit_agreement(traits, traits[:, 0], penalty=0.0)
    assert [found.expected(np.array([value])) for value in (-9.0, 9.0)] == [0.0, 1.0]


def test_a_blurred_border_lowers_certainty_and_widens_the_doubtful_band() -> None:
    sharp, soft = probability_traits(disc(0.2)), probability_traits(disc(4.0))
    assert sharp[0] > soft[0]
    assert sharp[3] < soft[3]
    assert sharp[4] > soft[4]
    assert sharp[5] > soft[5]


def test_traits_of_an_empty_map_are_finite() -> None:
    assert np.isfinite(probability_traits(np.zeros((8, 8), np.float32))).all()
