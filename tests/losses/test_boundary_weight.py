import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mlffm_segdiff.data.distance import signed_distance
from mlffm_segdiff.losses.boundary_weight import (
    BandWeight,
    DermoSegDiffWeight,
    band_weight,
    dermosegdiff_weight,
    uniform_weight,
)

Floats = npt.NDArray[np.float32]


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


def by_hand(mask: npt.NDArray[np.bool_], time_share: float, gamma: float) -> npt.NDArray[np.float64]:
    """The weight in NumPy, pixel by pixel, with its own distances by brute force."""
    height, width = mask.shape
    nearest = np.empty(mask.shape)
    for i in range(height):
        for j in range(width):
            other = np.argwhere(mask != mask[i, j])
            nearest[i, j] = np.sqrt(((other - [i, j]) ** 2).sum(axis=1)).min() - 0.5
    closeness = (nearest.max() - nearest) / (nearest.max() - nearest.min())
    if mask.sum() / mask.size <= 0.01:
        return np.ones(mask.shape)
    return np.asarray(closeness ** ((gamma * (1 - time_share)) ** gamma))


@pytest.mark.parametrize("time_share", [0.0, 0.4, 0.996])
def test_dermosegdiff_weight_by_hand(time_share: float) -> None:
    masks = [square(7), square(3)]
    distance = batch(*(signed_distance(mask) for mask in masks))
    weight = dermosegdiff_weight(distance, torch.full((2,), time_share), gamma=1.5)
    for row, mask in zip(weight, masks, strict=True):
        np.testing.assert_allclose(row[0], by_hand(mask, time_share, 1.5), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("pixels", "weighs_one_everywhere"), [(4, True), (5, False)])
def test_a_lesion_of_one_per_cent_weighs_one_everywhere(pixels: int, weighs_one_everywhere: bool) -> None:
    mask = np.zeros((20, 20), bool)  # 4 of 400 pixels are 1 %
    mask[10, 5 : 5 + pixels] = True
    weight = dermosegdiff_weight(batch(signed_distance(mask)), torch.tensor([0.5]), gamma=1.5)
    assert bool((weight == 1).all()) is weighs_one_everywhere
    np.testing.assert_allclose(weight[0, 0], by_hand(mask, 0.5, 1.5), rtol=1e-4, atol=1e-6)


def test_dermosegdiff_weight_is_one_at_the_noisy_end_and_sharpest_at_the_clean_one() -> None:
    distance = batch(signed_distance(square(7)))
    means = [float(dermosegdiff_weight(distance, torch.tensor([s]), 1.5).mean()) for s in (0, 0.5, 1)]
    assert means[0] < means[1] < means[2] == 1
    again = DermoSegDiffWeight(1.5)(distance, torch.tensor([0.9]), torch.tensor([0.5]))
    assert torch.equal(again, dermosegdiff_weight(distance, torch.tensor([0.5]), 1.5))


@pytest.mark.parametrize("full", [True, False])
def test_weights_of_a_mask_without_contour_are_finite(full: bool) -> None:
    distance = batch(signed_distance(np.full((8, 8), full)))
    for weight in (BandWeight(2, 3), DermoSegDiffWeight(1.5)):
        for share in (0.0, 1.0):
            assert weight(distance, torch.tensor([1.0]), torch.tensor([share])).isfinite().all()
