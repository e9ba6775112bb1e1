import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mlffm_segdiff.models.baselines.transformer import PositionEmbedding, TransformerLayer

Array = NDArray[np.float64]
WIDTH, HEADS, TOKENS = 6, 2, 5


def normalised(tokens: Array, p: dict[str, Array], name: str) -> Array:
    centred = tokens - tokens.mean(axis=1, keepdims=True)
    out: Array = centred / np.sqrt(centred.var(axis=1, keepdims=True) + 1e-6)
    return out * p[f"{name}.weight"] + p[f"{name}.bias"]


def gelu(a: Array) -> Array:
    out: Array = a * 0.5 * (1 + np.vectorize(math.erf)(a / np.sqrt(2)))
    return out


def expected(p: dict[str, Array], tokens: Array) -> Array:
    """Return one layer's output (N C) of one case."""
    stacked = normalised(tokens, p, "norm1") @ p["attention.qkv.weight"].T + p["attention.qkv.bias"]
    query, key, value = np.split(stacked, 3, axis=1)
    head_width = WIDTH // HEADS
    heads = []
    for start in range(0, WIDTH, head_width):
        q, k, v = (each[:, start : start + head_width] for each in (query, key, value))
        weights = np.exp(q @ k.T / np.sqrt(head_width))
        heads.append(weights / weights.sum(axis=1, keepdims=True) @ v)
    attended = np.concatenate(heads, axis=1) @ p["attention.out_proj.weight"].T
    tokens = tokens + attended + p["attention.out_proj.bias"]
    hidden = normalised(tokens, p, "norm2") @ p["perceptron.linear1.weight"].T + p["perceptron.linear1.bias"]
    return tokens + gelu(hidden) @ p["perceptron.linear2.weight"].T + p["perceptron.linear2.bias"]


def test_a_layer_equals_numpy() -> None:
    layer = TransformerLayer(WIDTH, HEADS, dropout=0.5).eval()
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.3 * torch.randn_like(p))
        tokens = torch.randn(2, TOKENS, WIDTH)
        found = layer(tokens).numpy()
    parameters = {name: p.detach().double().numpy() for name, p in layer.named_parameters()}
    each = [expected(parameters, case) for case in tokens.double().numpy()]
    np.testing.assert_allclose(found, np.stack(each), rtol=0, atol=1e-4)


def test_dropout_is_only_in_the_perceptron() -> None:
    layer = TransformerLayer(8, HEADS, dropout=0.5).train()
    tokens = torch.randn(2, 4, 8)
    with torch.no_grad():
        assert not torch.equal(layer(tokens), layer(tokens))
        layer.perceptron.eval()
        assert torch.equal(layer(tokens), layer(tokens))


def test_on_its_own_grid_the_position_is_added() -> None:
    position = PositionEmbedding(3, 4)
    h = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(position(h), h + position.embedding)
    assert 0 < float(position.embedding.detach().std()) < 0.05


def test_positions_between_the_cells_by_hand() -> None:
    position = PositionEmbedding(1, 2)
    with torch.no_grad():
        position.embedding.copy_(torch.tensor([[0.0, 2.0], [4.0, 6.0]]))
        found = position(torch.zeros(1, 1, 3, 3))[0, 0]
    assert found.tolist() == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]


@pytest.mark.parametrize(("height", "width"), [(7, 3), (4, 9), (28, 28)])
def test_corners_of_the_grid_meet_at_any_size(height: int, width: int) -> None:
    position = PositionEmbedding(2, 5)
    with torch.no_grad():
        found = position(torch.zeros(1, 2, height, width))
        ends = (..., [0, 0, -1, -1], [0, -1, 0, -1])
        torch.testing.assert_close(found[ends], position.embedding[ends])
