import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import correlate
from torch import Tensor, nn

from mlffm_segdiff.models.mlffm import (
    CBAM,
    MLFFM,
    AdaptiveWeights,
    ChannelAttention,
    ChannelPool,
    LateralProjection,
    SpatialAttention,
    UniformWeights,
    fuse,
    resample,
)

CHANNELS = (6, 8, 12, 10)
SWITCHES = list(itertools.product((True, False), repeat=3))


def skips(levels: int, height: int, width: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(height)
    return [torch.randn(2, CHANNELS[n], height >> n, width >> n, generator=generator) for n in range(levels)]


def parameters(*switches: bool) -> int:
    return sum(p.numel() for p in MLFFM(CHANNELS, 8, *switches).parameters())


@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize(("levels", "height", "width"), [(1, 5, 7), (2, 8, 6), (3, 16, 24), (4, 32, 8)])
def test_a_new_module_is_exactly_the_identity(
    levels: int, height: int, width: int, switches: tuple[bool, bool, bool]
) -> None:
    given = skips(levels, height, width)
    for found, skip in zip(MLFFM(CHANNELS[:levels], 8, *switches)(given), given, strict=True):
        assert torch.equal(found, skip)


@pytest.mark.parametrize("switch", range(3))
def test_each_switch_takes_parameters_away_whatever_the_others_say(switch: int) -> None:
    for switches in SWITCHES:
        if switches[switch]:
            off = [on and n != switch for n, on in enumerate(switches)]
            assert parameters(*off) < parameters(*switches)


@pytest.mark.parametrize("switches", SWITCHES)
def test_all_that_is_switched_on_learns(switches: tuple[bool, bool, bool]) -> None:
    module = MLFFM(CHANNELS, 8, *switches)
    torch.manual_seed(0)
    for p in module.parameters():
        p.data.add_(0.1 * torch.randn_like(p))
    given = skips(4, 32, 32)
    found = module(given)
    assert [f.shape for f in found] == [s.shape for s in given]
    assert all(not torch.equal(f, s) for f, s in zip(found, given, strict=True))
    sum(f.square().sum() for f in found).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in module.parameters())


def test_every_level_reads_every_other_level() -> None:
    module = MLFFM(CHANNELS, 8)
    for p in module.parameters():
        p.data.add_(0.1)
    given = [s.requires_grad_() for s in skips(4, 16, 16)]
    for found in module(given):
        grads = torch.autograd.grad(found.square().sum(), given, retain_graph=True)
        assert all(g.any() for g in grads)


def test_the_formula_without_switches_by_hand() -> None:
    module = MLFFM((4, 6), 2, attention=False, alignment=False, adaptive=False)
    for p in module.parameters():
        p.data.add_(0.3)
    generator = torch.Generator().manual_seed(0)
    fine, coarse = (torch.randn(1, c, n, n, generator=generator) for c, n in ((4, 4), (6, 2)))
    with torch.no_grad():
        found = module([fine, coarse])[1]
        p1 = fine.numpy().reshape(1, 2, 2, 4, 4).mean(axis=2)  # 4 channels to 2
        p2 = coarse.numpy().reshape(1, 2, 3, 2, 2).mean(axis=2)  # 6 channels to 2
        fused = (p1.reshape(1, 2, 2, 2, 2, 2).mean(axis=(3, 5)) + p2) / 2
        norm, _, last = module.merge[1]
        mean, sd = fused.mean(axis=(2, 3), keepdims=True), fused.std(axis=(2, 3), keepdims=True)
        scale, shift = (v.numpy()[None, :, None, None] for v in (norm.weight, norm.bias))
        normed = (fused - mean) / np.sqrt(sd**2 + norm.eps) * scale + shift  # 2 channels are 2 groups
        activated = torch.from_numpy(normed / (1 + np.exp(-normed))).float()
        expected = coarse + F.conv2d(activated, last.weight, last.bias, padding=1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def conv(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    """A convolution, by SciPy's correlation."""
    kernels, bias = (p.detach().double().numpy() for p in layer.parameters())
    maps = [
        sum(correlate(x[0, c], kernel[c], mode="constant") for c in range(len(kernel))) for kernel in kernels
    ]
    return np.stack(maps)[None] + bias[None, :, None, None]


def attended(cbam: CBAM, s: np.ndarray) -> np.ndarray:
    """Woo et al. 2018, equations 1 to 3."""
    w1, b1, w2, b2 = (p.detach().double().numpy() for p in cbam[0].parameters())
    pooled = np.stack([s.mean(axis=(2, 3)), s.max(axis=(2, 3))])
    a = s * sigmoid((np.maximum(pooled @ w1.T + b1, 0) @ w2.T + b2).sum(axis=0))[:, :, None, None]
    return a * sigmoid(conv(cbam[1].conv, np.stack([a.max(axis=1), a.mean(axis=1)], axis=1)))


def test_the_formula_with_all_switches_by_hand() -> None:
    """At the coarser of two levels: S + Conv(SiLU(GN(sum_j lambda_j R_j))), in NumPy and SciPy."""
    torch.manual_seed(0)
    module = MLFFM((4, 6), 2)
    for p in module.parameters():
        p.data.add_(0.3 * torch.randn_like(p))
    given = [torch.randn(1, 4, 4, 4), torch.randn(1, 6, 2, 2)]
    with torch.no_grad():
        found = module(given)[1]
    weights, (norm, _, last) = module.weights, module.merge[1]
    aligned = [
        conv(align, attended(attend, skip.double().numpy()))
        for align, attend, skip in zip(module.align, module.attend, given, strict=True)
    ]
    u = [conv(compress, p) for compress, p in zip(weights.compress, aligned, strict=True)]
    u[0], aligned[0] = (x.reshape(1, -1, 2, 2, 2, 2).mean(axis=(3, 5)) for x in (u[0], aligned[0]))
    logits = conv(weights.weigh[1], np.concatenate(u, axis=1))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    fused = shares[:, :1] * aligned[0] + shares[:, 1:] * aligned[1]
    mean, variance = fused.mean(axis=(2, 3), keepdims=True), fused.var(axis=(2, 3), keepdims=True)
    scale, shift = (p.detach().double().numpy()[None, :, None, None] for p in norm.parameters())
    normed = (fused - mean) / np.sqrt(variance + norm.eps) * scale + shift  # 2 channels are 2 groups
    np.testing.assert_allclose(
        found, given[1].numpy() + conv(last, normed * sigmoid(normed)), rtol=1e-4, atol=1e-5
    )


def test_fuse_by_hand() -> None:
    fine = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    coarse = torch.tensor([[[[10.0]]]])
    weights = torch.tensor([[[[0.25]], [[0.75]]]])
    assert fuse([fine, coarse], weights).item() == 0.25 * 4 + 0.75 * 10
    at_fine = torch.tensor([[[[1.0, 0.0], [0.5, 0.0]], [[0.0, 1.0], [0.5, 1.0]]]])
    np.testing.assert_allclose(fuse([fine, coarse], at_fine)[0, 0], [[1, 10], [7.5, 10]])


def test_channel_attention_by_hand() -> None:
    attend = ChannelAttention(3, reduction=1)  # 4 hidden units, the least there are
    w1, b1, w2, b2 = (p.detach().numpy().astype(np.float64) for p in attend.mlp.parameters())
    s = np.random.default_rng(0).normal(size=(2, 3, 4, 5))

    def mlp(v: np.ndarray) -> np.ndarray:
        return np.maximum(v @ w1.T + b1, 0) @ w2.T + b2

    weight = sigmoid(mlp(s.mean(axis=(2, 3))) + mlp(s.max(axis=(2, 3))))
    with torch.no_grad():
        found = attend(torch.from_numpy(s).float())
    assert w1.shape == (4, 3)
    np.testing.assert_allclose(found, s * weight[:, :, None, None], rtol=1e-4, atol=1e-6)


def test_channel_attention_with_set_weights() -> None:
    attend = ChannelAttention(2)
    with torch.no_grad():
        for p in attend.parameters():
            p.zero_()
        attend.mlp[0].weight[0, 0] = 1.0  # the first hidden unit is channel 0's pooled value
        attend.mlp[2].weight[1, 0] = 2.0  # channel 1 is scaled by sigmoid(2 mean + 2 max)
        s = torch.tensor([[[[1.0, 3.0]], [[5.0, 7.0]]]])
        found = attend(s)
    np.testing.assert_allclose(found[0, 0], [[0.5, 1.5]], rtol=1e-6)
    np.testing.assert_allclose(found[0, 1], sigmoid(2 * 2.0 + 2 * 3.0) * np.array([[5, 7]]), rtol=1e-6)


def test_spatial_attention_by_hand() -> None:
    attend = SpatialAttention()
    kernel = attend.conv.weight.detach().numpy().astype(np.float64)[0]
    bias = attend.conv.bias.item()
    a = np.random.default_rng(1).normal(size=(2, 3, 9, 8))
    weight = [
        sigmoid(
            correlate(row.max(axis=0), kernel[0], mode="constant")
            + correlate(row.mean(axis=0), kernel[1], mode="constant")
            + bias
        )
        for row in a
    ]
    with torch.no_grad():
        found = attend(torch.from_numpy(a).float())
    np.testing.assert_allclose(found, a * np.stack(weight)[:, None], rtol=1e-4, atol=1e-6)


def test_cbam_attends_to_channels_first() -> None:
    attend = CBAM(6)
    s = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(attend(s), attend[1](attend[0](s)))
        assert (attend(s).abs() <= s.abs()).all()


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


def test_a_level_of_that_size_is_unchanged() -> None:
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
    matrix, bias = project.weight.detach().numpy()[:, :, 0, 0], project.bias.detach().numpy()
    expected = np.einsum("oc,bchw->bohw", matrix, a.numpy()) + bias[:, None, None]
    np.testing.assert_allclose(project(a).detach(), expected, rtol=1e-10)


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
