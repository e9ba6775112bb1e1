import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor

from mlffm_segdiff.data.distance import signed_distance
from mlffm_segdiff.losses.boundary_weight import (
    BandWeight,
    DermoSegDiffWeight,
    band_weight,
    dermosegdiff_weight,
    uniform_weight,
)
from mlffm_segdiff.losses.canny import canny_edge
from mlffm_segdiff.losses.region import weighted_squared_error

Floats = npt.NDArray[np.float32]


def masks() -> st.SearchStrategy[npt.NDArray[np.bool_]]:
    return arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12))


def square(side: int, height: int = 20, width: int = 20) -> npt.NDArray[np.bool_]:
    mask = np.zeros((height, width), bool)
    mask[4 : 4 + side, 6 : 6 + side] = True
    return mask


def batch(*distances: Floats) -> Tensor:
    return torch.from_numpy(np.stack(distances))[:, None]


def test_uniform_weight_is_one_everywhere() -> None:
    distance = torch.randn(3, 1, 4, 5)
    assert torch.equal(uniform_weight(distance, torch.rand(3), torch.rand(3)) * distance, distance)


def test_band_weight_by_hand() -> None:
    distance = torch.tensor([[[[0.0, 3.0, -6.0]]], [[[0.0, 3.0, -6.0]]]])
    weight = band_weight(distance, torch.tensor([1.0, 0.25]), gain=2, width=3)
    # exp(-d^2 / (2 * 9)): 1, e^-0.5, e^-2
    expected = [
        [1 + 2, 1 + 2 * np.exp(-0.5), 1 + 2 * np.exp(-2)],
        [1.5, 1 + 0.5 * np.exp(-0.5), 1 + 0.5 * np.exp(-2)],
    ]
    np.testing.assert_allclose(weight[:, 0, 0], expected, rtol=1e-6)
    assert torch.equal(BandWeight(2, 3)(distance, torch.tensor([1.0, 0.25]), torch.zeros(2)), weight)


@given(st.floats(0, 10), st.floats(0.5, 20), st.floats(0, 1))
def test_band_weight_is_greatest_at_the_contour_and_at_least_one(
    gain: float, width: float, share: float
) -> None:
    distance = batch(signed_distance(square(7)))
    weight = band_weight(distance, torch.tensor([share]), gain, width)
    assert weight.min() >= 1
    assert weight.max() <= 1 + gain * share + 1e-4
    assert weight.flatten()[distance.abs().argmin()] == weight.max()


def test_band_weight_grows_as_the_noise_falls() -> None:
    distance = batch(signed_distance(square(7)))
    means = [float(band_weight(distance, torch.tensor([share]), 2, 3).mean()) for share in (0, 0.3, 0.9)]
    assert means[0] == 1 < means[1] < means[2]


def half(lesion_columns: int, height: int = 10, width: int = 12) -> npt.NDArray[np.bool_]:
    """A lesion on the left. Both pixels next to its straight edge tie; Canny keeps the left one."""
    mask = np.zeros((height, width), bool)
    mask[:, :lesion_columns] = True
    return mask


def w_of_half(lesion_columns: int, time_share: float, gamma: float, width: int = 12) -> list[float]:
    """W(t) of a row of ``half``: columns from the edge, over those of the farthest, as a power."""
    away = [abs(column - (lesion_columns - 1)) for column in range(width)]
    return [(1 - d / max(away)) ** ((gamma * (1 - time_share)) ** gamma) for d in away]


@pytest.mark.parametrize("gamma", [0.2, 1.5])
@pytest.mark.parametrize("time_share", [0.0, 0.4, 249 / 250, 1.0])
def test_dermosegdiff_weight_of_a_straight_edge(time_share: float, gamma: float) -> None:
    distance = batch(*(signed_distance(half(columns)) for columns in (3, 8)))
    weight = dermosegdiff_weight(distance, torch.full((2,), time_share), gamma)
    assert weight.shape == (2, 1, 10, 12)
    for row, columns in zip(weight, (3, 8), strict=True):
        expected = np.tile(w_of_half(columns, time_share, gamma), (10, 1))
        np.testing.assert_allclose(row[0], expected, rtol=1e-4, atol=1e-6)


def test_dermosegdiff_weight_at_the_ends_of_time_in_numbers() -> None:
    """Edge at column 3 of 12, so column 7 is 4 of 8 pixels away: nearness 1/2."""
    distance = batch(*[signed_distance(half(4))] * 3)
    found = dermosegdiff_weight(distance, torch.tensor([0.0, 0.5, 1.0]), gamma=0.2)[:, 0, 5]
    # powers 0.2^0.2 = 0.724780, 0.1^0.2 = 0.630957 and 0
    np.testing.assert_allclose(found[:, 3], [1, 1, 1])
    np.testing.assert_allclose(found[:, 7], [0.605087, 0.645747, 1], atol=1e-5)
    np.testing.assert_allclose(found[:, 11], [0, 0, 1])


def by_hand(mask: npt.NDArray[np.bool_], time_share: float, gamma: float) -> npt.NDArray[np.float64]:
    """W(t) as in Bozorgpour et al.: distance to the edge from its pixels one by one, min-max of its opposite.

    The edge is that of ``canny_edge``, which tests/losses/test_canny.py holds to OpenCV's rule.
    """
    if mask.sum() <= mask.size / 100:
        return np.ones(mask.shape)
    pixels = np.argwhere(canny_edge(mask))
    places = np.indices(mask.shape).reshape(2, -1).T
    away = np.sqrt(((places[:, None] - pixels) ** 2).sum(-1)).min(1).reshape(mask.shape)
    opposite = mask.shape[1] * 1.1415 - away
    share = (opposite - opposite.min()) / (opposite.max() - opposite.min())
    return np.asarray(share ** ((gamma * (1 - time_share)) ** gamma))


def blobs() -> list[npt.NDArray[np.bool_]]:
    """Two squares, a notched one, a ring, two lesions, and one cut by the border."""
    notched, ring, two, cut = square(9), square(12), square(4), np.zeros((20, 20), bool)
    notched[4:9, 6:9] = False
    ring[8:11, 9:15] = False
    two[14:18, 13:19] = True
    cut[-6:, 3:14] = True
    return [square(7), square(3), notched, ring, two, cut]


@pytest.mark.parametrize("time_share", [0.0, 0.4, 0.996])
def test_dermosegdiff_weight_by_hand(time_share: float) -> None:
    distance = batch(*(signed_distance(mask) for mask in blobs()))
    weight = dermosegdiff_weight(distance, torch.full((len(distance),), time_share), gamma=0.2)
    for row, mask in zip(weight, blobs(), strict=True):
        np.testing.assert_allclose(row[0], by_hand(mask, time_share, 0.2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("pixels", "weighs_one_everywhere"), [(4, True), (5, False)])
def test_a_lesion_of_one_per_cent_weighs_one_everywhere(pixels: int, weighs_one_everywhere: bool) -> None:
    mask = np.zeros((20, 20), bool)  # 4 of 400 pixels are 1 %
    mask[10, 5 : 5 + pixels] = True
    weight = dermosegdiff_weight(batch(signed_distance(mask)), torch.tensor([0.5]), gamma=0.2)
    assert bool((weight == 1).all()) is weighs_one_everywhere
    np.testing.assert_allclose(weight[0, 0], by_hand(mask, 0.5, 0.2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("time_share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("full", [True, False])
def test_a_mask_without_edge_weighs_one_everywhere(full: bool, time_share: float) -> None:
    distance = batch(signed_distance(np.full((8, 8), full)))
    assert (dermosegdiff_weight(distance, torch.tensor([time_share]), 0.2) == 1).all()


@given(masks(), st.floats(0, 1), st.floats(0.05, 5))
def test_dermosegdiff_weight_of_any_mask(
    mask: npt.NDArray[np.bool_], time_share: float, gamma: float
) -> None:
    """It is in [0, 1], 1 on the edge, the same each time, and that of the transposed mask, transposed."""
    distance, share = batch(signed_distance(mask)), torch.tensor([time_share])
    weight = dermosegdiff_weight(distance, share, gamma)
    assert bool(((weight >= 0) & (weight <= 1)).all())
    assert bool((weight[0, 0][torch.from_numpy(canny_edge(mask))] == 1).all())
    assert torch.equal(weight, dermosegdiff_weight(distance, share, gamma))
    transposed = dermosegdiff_weight(batch(signed_distance(mask.T)), share, gamma)
    torch.testing.assert_close(transposed, weight.mT)


def test_a_mirrored_mask_weighs_most_one_pixel_next_to_the_mirrored_edge() -> None:
    """As in the published code: of two pixels that tie, OpenCV's Canny keeps the left one."""
    rows = [
        dermosegdiff_weight(batch(signed_distance(mask)), torch.zeros(1), 0.2)[0, 0, 5]
        for mask in (half(6), np.fliplr(half(6)))
    ]
    assert [int(row.argmax()) for row in rows] == [5, 5]  # mirrored: 6


def test_dermosegdiff_weight_of_a_case_does_not_depend_on_its_batch() -> None:
    distance, share = batch(*(signed_distance(mask) for mask in blobs())), torch.linspace(0, 0.9, 6)
    together = dermosegdiff_weight(distance, share, 0.2)
    for n in range(6):
        assert torch.equal(
            dermosegdiff_weight(distance[n : n + 1], share[n : n + 1], 0.2), together[n : n + 1]
        )


def test_dermosegdiff_weight_is_one_at_the_noisy_end_and_sharpest_at_the_clean_one() -> None:
    distance = batch(signed_distance(square(7)))
    means = [float(dermosegdiff_weight(distance, torch.tensor([s]), 0.2).mean()) for s in (0, 0.5, 1)]
    assert means[0] < means[1] < means[2] == 1


def test_the_hybrid_loss_by_hand() -> None:
    """Bozorgpour et al.: the mean squared error, and 0.25 of that weighted by W(t)."""
    output, noise = torch.randn(2, 2, 1, 10, 12).double()
    distance = batch(signed_distance(half(3)), signed_distance(half(8)))
    weight = DermoSegDiffWeight(0.25, 0.2)(distance, torch.rand(2), torch.tensor([0.4, 0.9]))
    assert 1 <= float(weight.min()) < float(weight.max()) <= 1.25
    w = np.stack([np.tile(w_of_half(3, 0.4, 0.2), (10, 1)), np.tile(w_of_half(8, 0.9, 0.2), (10, 1))])
    squared = (output - noise).numpy()[:, 0] ** 2
    expected = squared.mean() + 0.25 * (w * squared).mean()
    assert float(weighted_squared_error(output, noise, weight)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("full", [True, False])
def test_weights_of_a_mask_without_contour_are_finite(full: bool) -> None:
    distance = batch(signed_distance(np.full((8, 8), full)))
    for weight in (BandWeight(2, 3), DermoSegDiffWeight(0.25, 0.2)):
        for share in (0.0, 1.0):
            assert weight(distance, torch.tensor([1.0]), torch.tensor([share])).isfinite().all()
