import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import correlate
from torch import Tensor, nn

from mlffm_segdiff.blocks.cbam import CBAM
from mlffm_segdiff.blocks.mlffm import MLFFM, fuse

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
