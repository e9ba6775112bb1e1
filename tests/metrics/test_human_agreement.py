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


def ridge_slopes(traits: np.ndarray, agreement: np.ndarray, penalty: float) -> np.ndarray:
    """Return the slopes of ridge regression on standardised traits by its augmented least squares."""
    standard = (traits - traits.mean(axis=0)) / traits.std(axis=0)
    augmented = np.concatenate([standard, np.sqrt(penalty) * np.eye(traits.shape[1])])
    target = np.concatenate([agreement - agreement.mean(), np.zeros(traits.shape[1])])
    return np.linalg.lstsq(augmented, target, rcond=None)[0]


def test_the_slopes_are_those_of_ridge_regression_by_its_augmented_least_squares() -> None:
    generator = np.random.default_rng(0)
    traits, agreement = generator.normal(3, 2, (80, 4)), generator.uniform(0.3, 0.9, 80)
    found = fit_agreement(traits, agreement, penalty=5.0)
    np.testing.assert_allclose(found.slopes, ridge_slopes(traits, agreement, 5.0))
    assert found.expected(traits.mean(axis=0)) == pytest.approx(agreement.mean())
    assert found.cases == 80


def test_each_case_is_predicted_from_the_other_folds() -> None:
    generator = np.random.default_rng(2)
    traits, agreement = generator.normal(3, 2, (47, 3)), generator.uniform(0.4, 0.8, 47)
    folds = np.array_split(np.argsort(np.random.default_rng(0).permutation(47) % FOLDS, kind="stable"), FOLDS)
    expected = np.empty(47)
    for fold in folds:
        rest = np.setdiff1d(np.arange(47), fold)
        standard = (traits[fold] - traits[rest].mean(axis=0)) / traits[rest].std(axis=0)
        expected[fold] = agreement[rest].mean() + standard @ ridge_slopes(traits[rest], agreement[rest], 5.0)
    np.testing.assert_allclose(cross_validated(traits, agreement, penalty=5.0), expected)
    error = fit_agreement(traits, agreement, penalty=5.0).error
    assert error == pytest.approx(np.abs(expected - agreement).mean())


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


def test_the_traits_of_a_map_by_hand() -> None:
    """Over 0.05, 0.2, 0.5, 0.8 and 0.95 are 6, 5, 3, 2 and 1 of 8 pixels; 0.001 is added to areas."""
    found = probability_traits(np.float32([[8, 7, 6, 3], [2, 1, 0, 0]]) / np.float32(8))
    area = 27 / 64
    expected = [
        2 * 21 / (27 + 3 * 8),
        area**0.5,
        np.log(3 / 8 + 0.001),
        (7 + 12 + 15 + 12 + 7) / 64 / 8 / (area + 0.001) ** 0.5,
        (1 / 8 + 0.001) / (6 / 8 + 0.001),
        (2 / 8 + 0.001) / (5 / 8 + 0.001),
    ]
    assert found == pytest.approx(expected)


def test_a_blurred_border_lowers_certainty_and_widens_the_doubtful_band() -> None:
    sharp, soft = probability_traits(disc(0.2)), probability_traits(disc(4.0))
    assert sharp[0] > soft[0]
    assert sharp[3] < soft[3]
    assert sharp[4] > soft[4]
    assert sharp[5] > soft[5]


def test_traits_of_an_empty_map_are_finite() -> None:
    assert np.isfinite(probability_traits(np.zeros((8, 8), np.float32))).all()
