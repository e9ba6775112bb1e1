import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from mlffm_segdiff.metrics.mahalanobis import FeatureSpace, Gaussians, fit_gaussians, fit_space


def correlated(seed: int, count: int, shift: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, 4)) @ generator.normal(size=(4, 4)) + shift


def test_distances_are_those_of_scipy() -> None:
    points = correlated(0, 50)
    gaussian = fit_gaussians({"one": points})["one"]
    inverse = np.linalg.inv(np.cov(points, rowvar=False, bias=True))
    expected = [mahalanobis(point, points.mean(axis=0), inverse) for point in points[:5]]
    np.testing.assert_allclose(gaussian.distance(points[:5]), expected)


def test_each_cluster_of_a_group_has_its_own_covariance() -> None:
    kinds = [correlated(0, 250), correlated(1, 250, shift=30.0)]
    found = fit_gaussians({"one": np.concatenate(kinds)}, prior=0)["one"]
    assert found.means.shape == (2, 4)
    for kind in kinds:
        inverse = np.linalg.inv(np.cov(kind, rowvar=False, bias=True))
        expected = [mahalanobis(point, kind.mean(axis=0), inverse) for point in kind[:5]]
        np.testing.assert_allclose(found.distance(kind[:5]), expected)


def test_a_small_group_borrows_the_covariance_of_all_by_hand() -> None:
    groups = {"narrow": np.array([[1.0], [-1.0]]), "wide": np.array([[3.0], [9.0]])}  # variances 1 and 9
    fitted = fit_gaussians(groups, prior=6)
    # (2 * 1 + 6 * 5) / 8 = 4 and (2 * 9 + 6 * 5) / 8 = 6
    assert fitted["narrow"].distance(np.array([[4.0]])) == pytest.approx(2)
    assert fitted["wide"].distance(np.array([[6 + 6**0.5]])) == pytest.approx(1)


def test_components_have_variance_1_and_no_correlation_within_groups() -> None:
    groups = {"a": correlated(1, 300), "b": correlated(1, 300, shift=50.0)}
    space = fit_space(groups, kept=1.0)
    points = np.concatenate([space.project(one) - space.project(one).mean(axis=0) for one in groups.values()])
    np.testing.assert_allclose(np.cov(points, rowvar=False, bias=True), np.eye(4), atol=1e-9)


def test_directions_with_little_variance_and_constant_features_are_left_out() -> None:
    first = np.random.default_rng(2).normal(size=500)
    other = first + 1e-3 * np.random.default_rng(3).normal(size=500)
    space = fit_space({"one": np.stack([first, other, np.full(500, 7.0)], axis=1)})
    assert space.basis.shape == (3, 1)
    assert not space.basis[2].any()


def test_there_are_ten_cases_or_more_for_each_component() -> None:
    features = np.random.default_rng(4).normal(size=(84, 20))
    assert fit_space({"one": features[:39], "two": features[39:]}, kept=1.0).basis.shape == (20, 8)
    assert fit_space({"one": features[:3]}).basis.shape == (20, 1)


def test_a_distance_by_hand() -> None:
    space = FeatureSpace(np.array([1.0, 2.0]), np.array([[2.0], [0.0]]))
    np.testing.assert_array_equal(space.project(np.array([[4.0, 9.0]])), [[6.0]])
    gaussians = Gaussians(np.array([[2.0], [10.0]]), np.array([[[0.5]], [[2.0]]]))
    np.testing.assert_array_equal(gaussians.distance(np.array([[6.0], [9.0]])), [2.0, 2.0])
