import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mlffm_segdiff.blocks.attention import LinearAttention, SelfAttention

Array = NDArray[np.float64]
CHANNELS, HEADS, HEAD_WIDTH = 6, 2, 3


def softmax(a: Array, axis: int) -> Array:
    e = np.exp(a)
    shares: Array = e / e.sum(axis=axis, keepdims=True)
    return shares


def normalised(h: Array, weight: Array, bias: Array) -> Array:
    """Normalise one image (C N) over all its values."""
    out: Array = (h - h.mean()) / np.sqrt(h.var() + 1e-5) * weight[:, None] + bias[:, None]
    return out


def full_head(q: Array, k: Array, v: Array) -> Array:
    """Return D N for q, k, v of D N: each pixel's mean of all values, weighted by its own query."""
    weights = softmax(q.T @ k / np.sqrt(len(q)), axis=1)
    return v @ weights.T


def linear_head(q: Array, k: Array, v: Array) -> Array:
    """Return D N for q, k, v of D N as a sum over pairs of pixels, the slow way."""
    q, k = softmax(q, axis=0) / np.sqrt(len(q)), softmax(k, axis=1)
    pixels = q.shape[1]
    return np.stack(
        [sum(v[:, j] * (q[:, i] @ k[:, j]) for j in range(pixels)) for i in range(pixels)], axis=1
    )


def attended(p: dict[str, Array], h: Array, linear: bool) -> Array:
    stacked = p["query_key_value.weight"][:, :, 0, 0] @ normalised(h, p["norm.weight"], p["norm.bias"])
    width = HEADS * HEAD_WIDTH
    heads = []
    for start in range(0, width, HEAD_WIDTH):
        q, k, v = (stacked[part * width + start :][:HEAD_WIDTH] for part in range(3))
        heads.append((linear_head if linear else full_head)(q, k, v))
    out = p["out.weight"][:, :, 0, 0] @ np.concatenate(heads) + p["out.bias"][:, None]
    return h + (normalised(out, p["out_norm.weight"], p["out_norm.bias"]) if linear else out)


@pytest.mark.parametrize("kind", [SelfAttention, LinearAttention])
def test_it_equals_numpy(kind: type[SelfAttention] | type[LinearAttention]) -> None:
    block = kind(CHANNELS, HEADS, HEAD_WIDTH)
    with torch.no_grad():
        for p in block.parameters():
            p.add_(0.5 * torch.randn_like(p))
    h = torch.randn(2, CHANNELS, 3, 4)
    parameters = {name: p.detach().double().numpy() for name, p in block.named_parameters()}
    images = h.double().numpy().reshape(2, CHANNELS, 12)
    expected = np.stack([attended(parameters, image, kind is LinearAttention) for image in images])
    found = block(h).detach().numpy().reshape(2, CHANNELS, 12)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    channels_last = block(h.to(memory_format=torch.channels_last)).detach().numpy()
    np.testing.assert_allclose(channels_last.reshape(2, CHANNELS, 12), expected, atol=2e-5)


@pytest.mark.parametrize("kind", [SelfAttention, LinearAttention])
def test_every_parameter_learns(kind: type[SelfAttention] | type[LinearAttention]) -> None:
    block = kind(8)
    block(torch.randn(2, 8, 5, 4)).square().sum().backward()
    assert [name for name, p in block.named_parameters() if p.grad is None or not p.grad.any()] == []
