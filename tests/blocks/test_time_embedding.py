import math

import numpy as np
import torch

from mlffm_segdiff.blocks.time_embedding import TimeEmbedding


def test_sinusoids_by_hand() -> None:
    embed = TimeEmbedding(16)  # 8 sinusoids: 4 cosines, then 4 sines
    t = np.array([0, 1, 7, 999])
    angle = t[:, None] * np.exp(-math.log(10000) * np.arange(4) / 4)
    expected = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    np.testing.assert_allclose(embed.sinusoids(torch.from_numpy(t)), expected, atol=1e-4)


def test_times_are_told_apart_and_rows_are_independent() -> None:
    embed = TimeEmbedding(32)
    t = torch.arange(0, 1000, 37)
    with torch.no_grad():
        together = embed(t)
        assert together.shape == (len(t), 32)
        torch.testing.assert_close(together[3:4], embed(t[3:4]))
        assert torch.cdist(together, together).fill_diagonal_(1).min() > 1e-4
