import numpy as np
import pytest
import torch
from torch import Tensor

from mlffm_segdiff.blocks.adaptive_fusion import AdaptiveWeights, UniformWeights


def pyramid(levels: int, width: int = 4, side: int = 16) -> list[Tensor]:
    generator = torch.Generator().manual_seed(levels)
    return [torch.randn(2, width, side >> n, side >> n, generator=generator) for n in range(levels)]


def test_two_levels_by_hand() -> None:
    weigh = AdaptiveWeights(2, 3, compressed=2)
    fine, coarse = (p.numpy().astype(np.float64) for p in pyramid(2, width=3, side=4))
    state = {name: value.numpy().astype(np.float64) for name, value in weigh.state_dict().items()}

    def conv(name: str, x: np.ndarray) -> np.ndarray:
        weight, bias = state[f"{name}.weight"][:, :, 0, 0], state[f"{name}.bias"]
        return np.einsum("oc,bchw->bohw", weight, x) + bias[:, None, None]

    def softmax(x: np.ndarray) -> np.ndarray:
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    halved = conv("compress.0", fine).reshape(2, 2, 2, 2, 2, 2).mean(axis=(3, 5))
    at_coarse = softmax(conv("weigh.1", np.concatenate([halved, conv("compress.1", coarse)], axis=1)))
    found = weigh(pyramid(2, width=3, side=4))
    np.testing.assert_allclose(found[1].detach(), at_coarse, rtol=1e-4)


def test_weights_at_the_finer_level_with_set_weights() -> None:
    """u_1 = P_1 and u_2 = P_2; at level 1 the logits are 2 u_1 and u_2, with u_2 brought up bilinearly."""
    weigh = AdaptiveWeights(2, 1, compressed=1)
    with torch.no_grad():
        for p in weigh.parameters():
            p.zero_()
        for compress in weigh.compress:
            compress.weight.fill_(1.0)
        weigh.weigh[0].weight[:, :, 0, 0] = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
        fine, coarse = torch.tensor([[[[1.0, 0.0, -1.0, 3.0]] * 2]]), torch.tensor([[[[0.0, 4.0]]]])
        at_fine, at_coarse = weigh([fine, coarse])
    logits = np.array([[2.0, 0.0, -2.0, 6.0], [0.0, 1.0, 3.0, 4.0]])  # 0 and 4 between pixel centres: 0 1 3 4
    share = 1 / (1 + np.exp(logits[1] - logits[0]))
    np.testing.assert_allclose(at_fine[0, 0], [share] * 2, rtol=1e-6)
    np.testing.assert_allclose(at_fine[0, 1], [1 - share] * 2, rtol=1e-5)
    np.testing.assert_allclose(at_coarse, np.full((1, 2, 1, 2), 0.5))


@pytest.mark.parametrize("levels", [1, 2, 3, 5])
def test_adaptive_weights_are_positive_and_sum_to_one_for_each_pixel(levels: int) -> None:
    aligned = pyramid(levels)
    for p, weights in zip(aligned, AdaptiveWeights(levels, 4)(aligned), strict=True):
        assert weights.shape == (2, levels, *p.shape[2:])
        assert (weights > 0).all()
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, *p.shape[2:]))


def test_adaptive_weights_differ_from_pixel_to_pixel() -> None:
    weights = AdaptiveWeights(3, 4)(pyramid(3))[0]
    assert float(weights.detach().std(dim=(2, 3)).min()) > 1e-3


@pytest.mark.parametrize("levels", [1, 3])
def test_uniform_weights_are_one_over_the_levels(levels: int) -> None:
    aligned = pyramid(levels)
    for p, weights in zip(aligned, UniformWeights()(aligned), strict=True):
        assert weights.shape == (2, levels, *p.shape[2:])
        assert (weights == 1 / levels).all()
