from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from mlffm_segdiff.models.baselines.dermosegdiff import (
    DermoSegDiff,
    DermoSegDiffConfig,
    LinearAttention,
    SelfAttention,
    StandardisedResidualBlock,
)
from mlffm_segdiff.models.baselines.weight_standardised import WeightStandardisedConv2d
from mlffm_segdiff.segmenters.folding import fold_weight_standardisation

X_MULTS, G_MULTS = (1, 2, 3, 4, 5, 6), (1, 2, 4, 8, 16, 32)
TWOS = (2, 2, 2, 2, 2, 2)


def network() -> DermoSegDiff:
    return DermoSegDiff(8, 8, (1, 2, 3), (1, 2, 4), groups=4)


def narrow() -> DermoSegDiff:
    """Return all six levels at an eighth of the published widths."""
    return DermoSegDiff(16, 8, X_MULTS, G_MULTS, groups=4)


def inputs(height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height)
    image = torch.rand(2, 3, height, width, generator=generator) * 2 - 1
    return image, torch.randn(2, 1, height, width, generator=generator), torch.tensor([3, 240])


@pytest.mark.parametrize(
    ("x_mults", "g_mults", "parameters"),
    [(X_MULTS, G_MULTS, 321_181_377), (TWOS, G_MULTS, 157_749_441), (TWOS, TWOS, 64_356_481)],
)
def test_as_many_parameters_as_the_published_code(
    x_mults: Sequence[int], g_mults: Sequence[int], parameters: int
) -> None:
    with torch.device("meta"):
        model = DermoSegDiff(128, 64, x_mults, g_mults)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model.total_stride == 32


def test_the_output_of_the_published_code() -> None:
    """The values are those of github.com/xmindflow/DermoSegDiff at 7047da2, run with the same weights."""
    model = DermoSegDiff(8, 4, (1, 2, 3), (1, 2, 4), groups=2)
    with torch.no_grad():
        for number, p in enumerate(model.parameters()):
            wave = torch.sin(1.7 * torch.arange(p.numel(), dtype=torch.float64) + number)
            p.copy_(0.3 * wave.reshape(p.shape))
        image = torch.sin(torch.arange(192, dtype=torch.float64)).reshape(1, 3, 8, 8).float()
        noisy = torch.cos(2 * torch.arange(64, dtype=torch.float64)).reshape(1, 1, 8, 8).float()
        noise = model(image, noisy, torch.tensor([77]))[0, 0]
    diagonal = [0.3105284, 0.3402188, 0.3979719, 0.3461852, 0.4739296, 0.4026825, 0.3768493, 0.3533396]
    row = [0.3105284, 0.3542350, 0.3699651, 0.2818598, 0.3988352, 0.4585081, 0.2848685, 0.3424186]
    torch.testing.assert_close(noise.diagonal(), torch.tensor(diagonal), rtol=0, atol=1e-5)
    torch.testing.assert_close(noise[0], torch.tensor(row), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 96), (32, 64)])
def test_noise_has_the_size_of_the_mask(height: int, width: int) -> None:
    with torch.no_grad():
        assert narrow()(*inputs(height, width)).shape == (2, 1, height, width)


def test_a_single_level_keeps_the_resolution() -> None:
    model = DermoSegDiff(8, 8, (1,), (2,), groups=4)
    assert model.total_stride == 1
    assert model(*inputs(5, 7)).shape == (2, 1, 5, 7)


def test_the_defaults_are_the_authors() -> None:
    section = DermoSegDiffConfig(name="dermosegdiff")
    assert (section.dim_x, section.dim_g, section.groups) == (128, 64, 8)
    assert (section.x_mults, section.g_mults) == (X_MULTS, G_MULTS)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"x_mults": (1, 2)}, "one entry for each level"),
        ({"dim_g": 12}, "groups=8 does not divide dim_x and dim_g"),
        ({"dim_x": 6, "dim_g": 6, "groups": 3, "x_mults": (1,), "g_mults": (1,)}, "not a multiple of 4"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        DermoSegDiffConfig.model_validate({"name": "dermosegdiff", **values})


def test_with_self_conditioning_it_reads_two_masks() -> None:
    model = DermoSegDiff(8, 8, (1, 2), (1, 2), groups=4, mask_channels=2)
    image, noisy, t = inputs(8, 8)
    with torch.no_grad():
        found = model(image, torch.cat([noisy, noisy], dim=1), t)
        assert found.shape == (2, 1, 8, 8)
        assert not torch.allclose(found, model(image, torch.cat([noisy, 0 * noisy], dim=1), t))


def test_every_parameter_learns() -> None:
    model = narrow()
    model(*inputs(64, 64)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_folded_it_gives_the_same_with_plain_convolutions() -> None:
    model = network()
    folded = fold_weight_standardisation(model)
    assert not any(isinstance(m, WeightStandardisedConv2d) for m in folded.modules())
    assert sum(p.numel() for p in folded.parameters()) == sum(p.numel() for p in model.parameters())
    with torch.no_grad():
        torch.testing.assert_close(folded(*inputs(32, 16)), model(*inputs(32, 16)), rtol=0, atol=1e-5)


def test_denoising_reads_the_image_only_from_the_features() -> None:
    model = network()
    image, noisy, t = inputs(32, 16)
    with torch.no_grad():
        features = model.encode(image)
        assert [f.shape for f in features] == [(2, 8, 32, 16)]
        together = model(image, noisy, t)
        assert torch.equal(model.denoise(noisy, t, features), together)
        swapped = model.denoise(noisy, t, [f.flip(0) for f in features])
        assert (swapped - together).abs().amax(dim=(1, 2, 3)).min() > 1e-3
        single = model.denoise(noisy[1:], t[1:], [f[1:] for f in features])
        torch.testing.assert_close(single, together[1:], rtol=0, atol=1e-5)


def test_noise_depends_on_mask_and_time_in_both_branches() -> None:
    model = network()
    image, noisy, t = inputs(32, 16)
    with torch.no_grad():
        found = model(image, noisy, t)
        assert not torch.allclose(model(image, noisy + 0.1, t), found)
        model.time_g.perceptron.apply(zero)
        only_x = model(image, noisy, t)
        assert not torch.allclose(only_x, model(image, noisy, t + 50))
        model.time_x.perceptron.apply(zero)
        assert torch.equal(model(image, noisy, t), model(image, noisy, t + 50))
        assert not torch.allclose(found, only_x)


def zero(module: nn.Module) -> None:
    for p in module.parameters(recurse=False):
        p.zero_()


def test_dermosegdiff_runs_in_bfloat16_once_folded() -> None:
    model = fold_weight_standardisation(network())
    image, noisy, t = inputs(32, 16)
    with torch.no_grad():
        expected = model(image, noisy, t)
        found = model.bfloat16()(image.bfloat16(), noisy.bfloat16(), t)
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).square().mean() < 0.01 * expected.var()


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
def test_attention_equals_numpy(kind: type[SelfAttention] | type[LinearAttention]) -> None:
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
def test_attention_every_parameter_learns(kind: type[SelfAttention] | type[LinearAttention]) -> None:
    block = kind(8)
    block(torch.randn(2, 8, 5, 4)).square().sum().backward()
    assert [name for name, p in block.named_parameters() if p.grad is None or not p.grad.any()] == []


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
def test_the_residual_block_equals_numpy(channels_in: int, channels_out: int, groups: int) -> None:
    block = StandardisedResidualBlock(channels_in, channels_out, 5, groups)
    with torch.no_grad():
        for p in block.parameters():
            p.add_(0.3 * torch.randn_like(p))
    h, time = torch.randn(2, channels_in, 4, 6), torch.randn(2, 5)
    parameters = {name: p.detach().double().numpy() for name, p in block.named_parameters()}
    expected = by_numpy(parameters, h.double().numpy(), time.double().numpy(), groups)
    np.testing.assert_allclose(block(h, time).detach().numpy(), expected, atol=2e-5)


def test_every_parameter_of_the_residual_block_learns() -> None:
    block = StandardisedResidualBlock(4, 6, 5, groups=2)
    block(torch.randn(2, 4, 5, 5), torch.randn(2, 5)).square().sum().backward()
    assert [name for name, p in block.named_parameters() if p.grad is None or not p.grad.any()] == []
