import pytest
import torch

from mlffm_segdiff.blocks.position_embedding import PositionEmbedding


def test_on_its_own_grid_it_is_added() -> None:
    position = PositionEmbedding(3, 4)
    h = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(position(h), h + position.embedding)
    assert 0 < float(position.embedding.detach().std()) < 0.05


def test_between_the_cells_by_hand() -> None:
    position = PositionEmbedding(1, 2)
    with torch.no_grad():
        position.embedding.copy_(torch.tensor([[0.0, 2.0], [4.0, 6.0]]))
        found = position(torch.zeros(1, 1, 3, 3))[0, 0]
    assert found.tolist() == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]


@pytest.mark.parametrize(("height", "width"), [(7, 3), (4, 9), (28, 28)])
def test_corners_meet_at_any_size(height: int, width: int) -> None:
    position = PositionEmbedding(2, 5)
    with torch.no_grad():
        found = position(torch.zeros(1, 2, height, width))
        ends = (..., [0, 0, -1, -1], [0, -1, 0, -1])
        torch.testing.assert_close(found[ends], position.embedding[ends])
