import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mlffm_segdiff.blocks.standardised_residual import StandardisedResidualBlock

Array = NDArray[np.float64]


def silu(h: Array) -> Array:
    out: Array = h / (1 + np.exp(-h))
    return out


def standardised_conv(h: Array, weight: Array, bias: Array) -> Array:
    flat = weight.reshape(len(weight), -1)
    flat = (flat - flat.mean(axis=1, keepdims=True)) / np.sqrt(flat.var(axis=1, keepdims=True) + 1e-5)
    height, width = h.shape[2:]
    padded = np.pad(h, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(h), len(weight), height, width)) + bias[:, None, None]
    for row in range(3):
        for column in range(3):
            shifted = padded[:, :, row : row + height, column : column + width]
            out += np.einsum("bihw,oi->bohw", shifted, flat.reshape(weight.shape)[:, :, row, column])
    return out


def group_norm(h: Array, groups: int, weight: Array, bias: Array) -> Array:
    grouped = h.reshape(len(h), groups, -1)
    spread = np.sqrt(grouped.var(axis=2, keepdims=True) + 1e-5)
    normal = ((grouped - grouped.mean(axis=2, keepdims=True)) / spread).reshape(h.shape)
    out: Array = normal * weight[:, None, None] + bias[:, None, None]
    return out


def by_numpy(p: dict[str, Array], h: Array, time: Array, groups: int) -> Array:
    modulation = time @ p["modulation.weight"].T + p["modulation.bias"]
    scale, shift = np.split(modulation[:, :, None, None], 2, axis=1)
    r = group_norm(
        standardised_conv(h, p["conv1.weight"], p["conv1.bias"]), groups, p["norm1.weight"], p["norm1.bias"]
    )
    r = silu(r * (scale + 1) + shift)
    r = group_norm(
        standardised_conv(r, p["conv2.weight"], p["conv2.bias"]), groups, p["norm2.weight"], p["norm2.bias"]
    )
    if "shortcut.weight" in p:
        h = np.einsum("bihw,oi->bohw", h, p["shortcut.weight"][:, :, 0, 0])
        h = h + p["shortcut.bias"][:, None, None]
    return silu(r) + h


@pytest.mark.parametrize(("channels_in", "channels_out", "groups"), [(4, 4, 2), (3, 6, 3), (6, 4, 1)])
def test_it_equals_numpy(channels_in: int, channels_out: int, groups: int) -> None:
    block = StandardisedResidualBlock(channels_in, channels_out, 5, groups)
    with torch.no_grad():
        for p in block.parameters():
            p.add_(0.3 * torch.randn_like(p))
    h, time = torch.randn(2, channels_in, 4, 6), torch.randn(2, 5)
    parameters = {name: p.detach().double().numpy() for name, p in block.named_parameters()}
    expected = by_numpy(parameters, h.double().numpy(), time.double().numpy(), groups)
    np.testing.assert_allclose(block(h, time).detach().numpy(), expected, atol=2e-5)


def test_every_parameter_learns() -> None:
    block = StandardisedResidualBlock(4, 6, 5, groups=2)
    block(torch.randn(2, 4, 5, 5), torch.randn(2, 5)).square().sum().backward()
    assert [name for name, p in block.named_parameters() if p.grad is None or not p.grad.any()] == []
