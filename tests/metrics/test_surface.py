import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from scipy.spatial.distance import cdist

from mlffm_segdiff.metrics.overlap import Mask
from mlffm_segdiff.metrics.surface import SurfaceScores, contour_distances, surface_scores

MASKS = arrays(bool, (8, 11)).filter(np.any)


def disc(radius: float, centre: tuple[float, float] = (60, 60), shape: tuple[int, int] = (121, 121)) -> Mask:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2)


@pytest.mark.parametrize(("gap", "boundary_dice"), [(0, 1), (1, 1), (2, 1), (3, 0), (9, 0)])
def test_parallel_lines_are_their_gap_apart(gap: int, boundary_dice: float) -> None:
    """Two rows of 150 x 200 pixels, whose diagonal is 250 pixels: the tolerance is 2.5 of them."""
    one, other = np.zeros((2, 150, 200), bool)
    one[5] = other[5 + gap] = True
    assert surface_scores(one, other) == SurfaceScores(gap, gap / 2.5, gap, gap / 2.5, boundary_dice)


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_percent_and_boundary_dice_do_not_depend_on_the_resolution(scale: int) -> None:
    """Rows 0.8 % of the diagonal apart are within the tolerance at every size, rows 1.2 % apart at none."""
    for gap, within in ((2, 1), (3, 0)):
        one, other = np.zeros((2, 150 * scale, 200 * scale), bool)
        one[5] = other[5 + gap * scale] = True
        scores = surface_scores(one, other)
        assert (scores.hd95_percent, scores.boundary_dice) == (pytest.approx(gap / 2.5), within)
        assert scores.assd_percent == pytest.approx(gap / 2.5)


def test_two_points_are_their_euclidean_distance_apart() -> None:
    one, other = np.zeros((2, 20, 20), bool)
    one[2, 3] = other[5, 7] = True
    scores = surface_scores(one, other)
    assert (scores.hd95, scores.assd, scores.boundary_dice) == (5, 5, 0)


@pytest.mark.parametrize("tolerance", [-0.01, float("nan")])
def test_a_tolerance_below_zero_is_refused(tolerance: float) -> None:
    mask = np.eye(4, dtype=bool)
    with pytest.raises(ValueError, match=r"the tolerance is .*, but must be a share of 0 or more"):
        surface_scores(mask, mask, tolerance)


def test_concentric_squares_by_hand() -> None:
    inner, outer = np.zeros((2, 101, 101), bool)
    inner[40:61, 40:61] = True
    outer[30:71, 30:71] = True
    to_outer, to_inner = contour_distances(inner, outer)
    assert to_outer.tolist() == [10] * 80
    assert sorted(to_inner)[-1] == pytest.approx(10 * math.sqrt(2))
    straight = 4 * 21
    corners = [math.hypot(10, step) for step in range(1, 10) for _ in range(8)] + [math.hypot(10, 10)] * 4
    assert surface_scores(inner, outer).assd == pytest.approx(
        (80 * 10 + straight * 10 + sum(corners)) / (80 + 160)
    )


@pytest.mark.parametrize("wider", [1, 4, 15])
def test_concentric_discs_are_their_radii_difference_apart(wider: int) -> None:
    scores = surface_scores(disc(30), disc(30 + wider))
    assert scores.hd95 == pytest.approx(wider, abs=0.75)
    assert scores.assd == pytest.approx(wider, abs=0.5)
    assert scores.boundary_dice == (1 if wider == 1 else 0)  # the tolerance is 1.7 pixels


def test_the_frame_is_a_contour_where_the_lesion_leaves_the_image() -> None:
    full, inner = np.ones((30, 30), bool), np.zeros((30, 30), bool)
    inner[5:25, 5:25] = True
    assert min(contour_distances(full, inner)[0]) == 5
    assert len(contour_distances(full, inner)[0]) == 4 * 29


def test_outliers_under_five_percent_do_not_move_hd95() -> None:
    truth = disc(30)
    predicted = truth.copy()
    predicted[0, 0] = True
    assert surface_scores(predicted, truth).hd95 == 0
    assert surface_scores(predicted, truth).assd > 0


@given(MASKS, MASKS)
def test_distances_equal_those_between_all_contour_pixels(predicted: Mask, truth: Mask) -> None:
    def contour(mask: Mask) -> np.ndarray:
        padded = np.pad(mask, 1)
        inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        return np.argwhere(mask & ~inside)

    between = cdist(contour(predicted), contour(truth))
    forth, back = contour_distances(predicted, truth)
    np.testing.assert_allclose(forth, between.min(axis=1), rtol=1e-6)
    np.testing.assert_allclose(back, between.min(axis=0), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI 1.6 warns of itself
@given(MASKS, MASKS, st.sampled_from([0.5, 1.2, 2.1, 4.05]))
def test_scores_equal_those_of_monai(predicted: Mask, truth: Mask, tolerance: float) -> None:
    pair = tuple(torch.from_numpy(mask)[None, None] for mask in (predicted, truth))
    scores = surface_scores(predicted, truth, tolerance / math.hypot(8, 11))
    hd95 = compute_hausdorff_distance(*pair, include_background=True, percentile=95)
    assd = compute_average_surface_distance(*pair, include_background=True, symmetric=True)
    surface_dice = compute_surface_dice(*pair, class_thresholds=[tolerance], include_background=True)
    assert scores.hd95 == pytest.approx(float(hd95), abs=1e-5)
    assert scores.assd == pytest.approx(float(assd), abs=1e-5)
    assert scores.boundary_dice == pytest.approx(float(surface_dice), abs=1e-6)


@given(MASKS, MASKS, st.integers(0, 3), st.booleans())
def test_scores_stay_under_swapping_turning_and_mirroring(
    predicted: Mask, truth: Mask, quarters: int, mirror: bool
) -> None:
    def moved(mask: Mask) -> Mask:
        turned = np.rot90(mask, quarters)
        return turned[:, ::-1] if mirror else turned

    scores, other = surface_scores(predicted, truth), surface_scores(moved(truth), moved(predicted))
    assert other.hd95 == pytest.approx(scores.hd95)
    assert other.assd == pytest.approx(scores.assd)
    assert other.boundary_dice == pytest.approx(scores.boundary_dice)


@given(MASKS, MASKS)
def test_scores_are_bounded_and_perfect_for_equal_masks(predicted: Mask, truth: Mask) -> None:
    scores = surface_scores(predicted, truth)
    assert 0 <= scores.assd <= math.hypot(7, 10)
    assert 0 <= scores.hd95 <= math.hypot(7, 10)
    assert 0 <= scores.boundary_dice <= 1
    assert scores.assd_percent == pytest.approx(100 * scores.assd / math.hypot(8, 11))
    assert surface_scores(truth, truth) == SurfaceScores(0, 0, 0, 0, 1)
