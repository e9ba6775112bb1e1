"""Stacking cases."""

import pytest
import torch

from mlffm_segdiff.data.batch import Batch, Pair, collate


def pair(number: int, side: int = 4) -> Pair:
    plane = torch.full((1, side, side), float(number))
    return Pair(plane.expand(3, -1, -1), plane + 10, plane + 20, f"case{number}", f"style{number}")


def test_cases_keep_their_order_and_their_place() -> None:
    batch = collate([pair(2), pair(0), pair(1)])
    assert isinstance(batch, Batch)
    assert batch.ids == ["case2", "case0", "case1"]
    assert batch.styles == ["style2", "style0", "style1"]
    assert batch.image.shape == (3, 3, 4, 4)
    assert batch.mask.shape == batch.distance.shape == (3, 1, 4, 4)
    for field, offset in ((batch.image, 0), (batch.mask, 10), (batch.distance, 20)):
        assert field[:, 0, 0, 0].tolist() == [2 + offset, 0 + offset, 1 + offset]


def test_cases_of_two_sizes_do_not_stack() -> None:
    with pytest.raises(RuntimeError, match="equal size"):
        collate([pair(0), pair(1, side=5)])
