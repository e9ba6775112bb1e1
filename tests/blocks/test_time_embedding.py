import math

import numpy as np
import torch
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import nn

from mlffm_segdiff.blocks.time_embedding import TimeEmbedding, TimestepPerceptron, timestep_angles


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


def test_times_are_told_apart_and_rows_are_independent() -> None:
    embed = TimeEmbedding(32)
    t = torch.arange(0, 1000, 37)
    with torch.no_grad():
        together = embed(t)
        assert together.shape == (len(t), 32)
        torch.testing.assert_close(together[3:4], embed(t[3:4]))
        assert torch.cdist(together, together).fill_diagonal_(1).min() > 1e-4
