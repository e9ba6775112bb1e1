import numpy as np
import torch
from scipy.ndimage import correlate

from mlffm_segdiff.blocks.cbam import CBAM, ChannelAttention, SpatialAttention


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


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
    bias = attend.conv.bias.item()  # type: ignore[union-attr]
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
