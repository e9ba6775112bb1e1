import numpy as np
import pytest
import torch
from PIL import Image

from mlffm_segdiff.blocks.alignment import ChannelPool, LateralProjection, resample

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("factor_h", "factor_w"), [(2, 2), (4, 4), (8, 2), (3, 5)])
def test_finer_levels_are_averaged_over_areas(factor_h: int, factor_w: int) -> None:
    p = RNG.normal(size=(2, 3, 2 * factor_h, 3 * factor_w))
    areas = p.reshape(2, 3, 2, factor_h, 3, factor_w).mean(axis=(3, 5))
    np.testing.assert_allclose(resample(torch.from_numpy(p), (2, 3)), areas, rtol=1e-12)


@pytest.mark.parametrize("factor", [2, 4])
def test_coarser_levels_are_bilinear_as_in_pillow(factor: int) -> None:
    p = RNG.normal(size=(5, 7)).astype(np.float32)
    found = resample(torch.from_numpy(p)[None, None], (5 * factor, 7 * factor))[0, 0]
    expected = Image.fromarray(p).resize((7 * factor, 5 * factor), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(found, np.asarray(expected), atol=1e-5)


def test_bilinear_by_hand_keeps_pixel_centres() -> None:
    p = torch.tensor([[[[0.0, 4.0]]]])
    np.testing.assert_allclose(resample(p, (2, 4))[0, 0], [[0, 1, 3, 4]] * 2)


def test_a_level_of_that_size_is_left_alone() -> None:
    p = torch.randn(1, 2, 3, 4)
    assert resample(p, (3, 4)) is p


def test_channel_pool_averages_runs_of_channels() -> None:
    a = torch.from_numpy(RNG.normal(size=(2, 6, 3, 4)))
    found = ChannelPool(3)(a)
    np.testing.assert_allclose(found, a.numpy().reshape(2, 3, 2, 3, 4).mean(axis=2), rtol=1e-12)
    assert ChannelPool(8)(a).shape == (2, 8, 3, 4)
    assert list(ChannelPool(3).parameters()) == []


def test_lateral_projection_is_a_matrix_on_the_channels() -> None:
    project = LateralProjection(5, 3).double()
    a = torch.from_numpy(RNG.normal(size=(2, 5, 4, 4)))
    matrix, bias = project.weight.detach().numpy()[:, :, 0, 0], project.bias.detach().numpy()  # type: ignore[union-attr]
    expected = np.einsum("oc,bchw->bohw", matrix, a.numpy()) + bias[:, None, None]
    np.testing.assert_allclose(project(a).detach(), expected, rtol=1e-10)
