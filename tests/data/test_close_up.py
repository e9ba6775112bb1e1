"""Close-ups: windows against numpy's slices, frames against the ellipse's area."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.transforms import Compose

from mlffm_segdiff.data.augment import augment_pair
from mlffm_segdiff.data.close_up import RandCloseUpd, ellipse_distance, magnify

SIDE = 64


def disc(radius: int) -> torch.Tensor:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return torch.from_numpy((rows - 40) ** 2 + (columns - 22) ** 2 < radius**2)[None].float()


@given(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1))
def test_twice_as_large_is_a_quarter_of_the_image(row: int, column: int) -> None:
    pixels = torch.arange(float(SIDE * SIDE)).view(1, SIDE, SIDE)
    top, left = (min(max(one - SIDE // 4, 0), SIDE // 2) for one in (row, column))
    window = pixels[0, top : top + SIDE // 2, left : left + SIDE // 2]
    found = magnify(pixels, row, column, 2.0)[0]
    means = found.view(SIDE // 2, 2, SIDE // 2, 2).mean((1, 3))  # of the pixels that one became
    torch.testing.assert_close(means[1:-1, 1:-1], window[1:-1, 1:-1])
    assert torch.equal(magnify(pixels, row, column, 1.0), pixels)


def test_the_lesion_is_in_view_larger_and_image_and_mask_agree() -> None:
    mask, larger = disc(6), 0
    for index in range(40):
        closer = RandCloseUpd(1.0)
        pair = augment_pair(Compose([closer]), {"image": mask.expand(3, -1, -1), "mask": mask}, 0, 0, index)
        assert set(pair["mask"].unique().tolist()) <= {0.0, 1.0}
        larger += bool(pair["mask"].sum() > mask.sum())
        if closer.radii is None:
            assert pair["mask"].any()
            assert torch.equal((pair["image"][:1] >= 0.5).float(), pair["mask"])
    assert larger > 30


def test_a_small_enough_view_of_a_large_lesion_is_all_lesion() -> None:
    full = torch.ones(1, SIDE, SIDE)
    pair = {"image": full.expand(3, -1, -1), "mask": full}
    pairs = [augment_pair(Compose([RandCloseUpd(1.0)]), pair, 0, 0, index) for index in range(40)]
    shares = [float(pair["mask"].mean()) for pair in pairs]
    framed = [share for share in shares if share < 1]
    assert 10 < len(framed) < 30  # half of them
    assert all(pair["image"][0, 0, 0] < 0.4 for pair, share in zip(pairs, shares, strict=True) if share < 0.9)
    assert min(framed) > 0.6


@pytest.mark.parametrize(("tall", "wide"), [(0.5, 0.8), (0.9, 0.3)])
def test_distances_are_below_one_within_the_ellipse(tall: float, wide: float) -> None:
    share = float((ellipse_distance(200, 300, tall, wide) < 1).float().mean())
    assert share == pytest.approx(math.pi / 4 * tall * wide, rel=0.02)


def test_an_image_without_a_lesion_stays_as_it_is() -> None:
    pair = {"image": torch.rand(3, SIDE, SIDE), "mask": torch.zeros(1, SIDE, SIDE)}
    assert augment_pair(Compose([RandCloseUpd(1.0)]), pair, 0, 0, 0) == pair
