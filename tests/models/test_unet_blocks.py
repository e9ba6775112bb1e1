import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn

from mlffm_segdiff.models.unet_blocks import (
    ConcatBlock,
    ResidualBlock,
    TimeEmbedding,
    TimestepPerceptron,
    decode_skips,
    double,
    group_norm,
    timestep_angles,
)


class Halve(nn.Module):
    """A block that needs the time, to distinguish it from one that does not get it."""

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        return h * time


def test_three_constant_skips_by_hand() -> None:
    """((4 doubled + 2) * 0.5 doubled + 1) * 0.5, where doubling a constant keeps it."""
    skips = [torch.full((1, 1, 8 >> n, 12 >> n), value) for n, value in enumerate((1.0, 2.0, 4.0))]
    same, halves = nn.ModuleList([nn.Identity()] * 2), nn.ModuleList([Halve()] * 2)
    found = decode_skips(skips, same, halves, torch.tensor(0.5))
    assert torch.equal(found, torch.full((1, 1, 8, 12), ((4 + 2) * 0.5 + 1) * 0.5))


def test_concatenated_skips_by_hand() -> None:
    """Twice: convolve, normalise by the batch's mean and variance, and keep what is positive."""
    block = ConcatBlock(3, 2 + 4, 5)
    coarse, skips = torch.randn(2, 3, 4, 6), [torch.randn(2, width, 8, 12) for width in (2, 4)]
    h = torch.cat([double(coarse), *skips], dim=1)
    for kernel in (p for p in block.parameters() if p.ndim == 4):
        h = F.conv2d(h, kernel, padding=1)
        variance, mean = torch.var_mean(h, dim=(0, 2, 3), correction=0, keepdim=True)
        h = ((h - mean) / (variance + 1e-5).sqrt()).clamp(min=0)
    torch.testing.assert_close(block(coarse, skips), h, rtol=0, atol=1e-5)


def test_the_projection_is_that_of_its_level() -> None:
    skips = [torch.zeros(1, 2, 8, 8), torch.zeros(1, 3, 4, 4), torch.ones(1, 5, 2, 2)]
    projections = nn.ModuleList([nn.Conv2d(3, 2, 1), nn.Conv2d(5, 3, 1)])
    found = decode_skips(skips, projections, nn.ModuleList([Halve()] * 2), torch.tensor(1.0))
    vector = projections[0](projections[1](skips[2]))[0, :, 0, 0]
    torch.testing.assert_close(found, vector.view(1, 2, 1, 1).expand(1, 2, 8, 8))


@pytest.mark.parametrize(("channels", "groups"), [(8, 8), (24, 8), (12, 6), (10, 5), (7, 7), (11, 1), (1, 1)])
def test_groups_divide_the_channels(channels: int, groups: int) -> None:
    assert group_norm(channels).num_groups == groups


@pytest.mark.parametrize("time_width", [0, 6])
def test_a_new_block_is_its_shortcut(time_width: int) -> None:
    h, time = torch.randn(2, 8, 5, 5), torch.randn(2, 6)
    same = ResidualBlock(8, 8, time_width)
    assert torch.equal(same(h, time), h)
    wider = ResidualBlock(8, 12, time_width)
    assert torch.equal(wider(h, time), wider.shortcut(h))


def test_time_scales_and_shifts_the_second_normalisation() -> None:
    block = ResidualBlock(8, 8, 6)
    nn.init.normal_(block.conv2.weight)
    h, time = torch.randn(2, 8, 5, 5), torch.randn(2, 6)
    with torch.no_grad():
        r = block.norm2(block.conv1(nn.functional.silu(block.norm1(h))))
        scale, shift = (block.modulation(time)[:, s, None, None] for s in (slice(8), slice(8, 16)))
        expected = h + block.conv2(nn.functional.silu(r * (1 + scale) + shift))
        torch.testing.assert_close(block(h, time), expected)
        assert not torch.equal(block(h, time), block(h, time + 1))


def test_without_time_width_a_block_does_not_know_the_time() -> None:
    block = ResidualBlock(8, 8)
    nn.init.normal_(block.conv2.weight)
    h = torch.randn(2, 8, 5, 5)
    assert torch.equal(block(h), block(h, torch.randn(2, 6)))


def test_sinusoids_by_hand() -> None:
    embed = TimeEmbedding(16)  # 8 sinusoids: 4 cosines, then 4 sines
    t = np.array([0, 1, 7, 999])
    angle = t[:, None] * np.exp(-math.log(10000) * np.arange(4) / 4)
    expected = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    np.testing.assert_allclose(embed.sinusoids(torch.from_numpy(t)), expected, atol=1e-4)


def test_sinusoids_and_perceptrons_are_those_of_diffusers() -> None:
    t = torch.tensor([0, 1, 250, 999])
    ours = TimeEmbedding(32)
    assert torch.equal(ours.sinusoids(t), Timesteps(16, flip_sin_to_cos=True, downscale_freq_shift=0)(t))
    angles = timestep_angles(t, 8, shift=1)
    expected = Timesteps(16, flip_sin_to_cos=False, downscale_freq_shift=1)(t)
    assert torch.equal(torch.cat([angles.sin(), angles.cos()], dim=1), expected)
    for name, activation in (("silu", nn.SiLU()), ("gelu", nn.GELU())):
        theirs = TimestepEmbedding(16, 32, act_fn=name)
        perceptron = TimestepPerceptron(16, 32, activation)
        perceptron.load_state_dict(theirs.state_dict())
        assert torch.equal(perceptron(expected), theirs(expected))


def test_times_are_distinguished_and_rows_are_independent() -> None:
    embed = TimeEmbedding(32)
    t = torch.arange(0, 1000, 37)
    with torch.no_grad():
        together = embed(t)
        assert together.shape == (len(t), 32)
        torch.testing.assert_close(together[3:4], embed(t[3:4]))
        assert torch.cdist(together, together).fill_diagonal_(1).min() > 1e-4
