"""Against plans that nnU-Net itself has made, as its users quote them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlffm_segdiff.models.nnunet_plan import Plan, next_stride, plan_batch, plan_network, plan_patch

SIDES = st.integers(1, 700)


@pytest.mark.parametrize(
    ("size", "patch", "pools", "batch"),
    [
        ((2848, 4288), (1024, 1536), 8, 2),  # github.com/MIC-DKFZ/nnUNet/issues/2251: shrunk to fit
        ((512, 512), (512, 512), 7, 12),  # github.com/MIC-DKFZ/nnUNet/issues/352
    ],
)
def test_the_plans_of_nnunet(size: tuple[int, int], patch: tuple[int, int], pools: int, batch: int) -> None:
    plan = plan_network(*size)
    assert plan.patch == patch
    assert plan.strides == ((1, 1), *[(2, 2)] * pools)
    assert plan_batch(plan, *size, images=10_000) == batch


def test_a_batch_is_at_most_a_twentieth_of_the_data_and_at_least_two() -> None:
    """github.com/MIC-DKFZ/nnUNet/issues/2901: images of 7 x 7 are not halved."""
    plan = plan_network(7, 7)
    assert plan == Plan((7, 7), ((1, 1),))
    assert [plan_batch(plan, 7, 7, images) for images in (1, 100, 1400)] == [2, 5, 70]


@pytest.mark.parametrize(
    ("side", "stages"), [(14, 2), (15, 3), (16, 3), (56, 4), (57, 5), (96, 5), (112, 5), (128, 6), (256, 7)]
)
def test_depth_and_features_by_hand(side: int, stages: int) -> None:
    """Halves are rounded up: 57, 29, 15, 8, 4."""
    plan = plan_network(side, side)
    assert len(plan.strides) == stages
    assert plan.features == (32, 64, 128, 256, 512, 512, 512)[:stages]
    total = 2 ** (stages - 1)
    assert plan.total_strides == (total, total)
    assert plan.patch == (-(-side // total) * total,) * 2


def test_a_long_image_is_halved_further_along_its_longer_side() -> None:
    """24 x 8: both to 12 x 4, then the longer alone to 6 x 4; 16 x 8 stops, since 8 alone would be 4."""
    assert plan_network(24, 8).strides == ((1, 1), (2, 2), (2, 1))
    assert plan_network(8, 24).strides == ((1, 1), (2, 2), (1, 2))
    assert plan_network(16, 8).strides == ((1, 1), (2, 2))
    assert [next_stride(s) for s in ((12, 7), (11, 7), (7, 8), (8, 8))] == [(2, 1), (1, 1), (1, 1), (2, 2)]


@given(SIDES, SIDES)
def test_a_patch_holds_the_image_in_whole_pixels_at_every_stage(height: int, width: int) -> None:
    plan = plan_network(height, width)
    for side, image, total in zip(plan.patch, (height, width), plan.total_strides, strict=True):
        assert side % total == 0
        assert image <= side < image + total
        assert total == 1 or side // total >= 4
    assert max(side // total for side, total in zip(plan.patch, plan.total_strides, strict=True)) < 12
    assert plan_patch(plan.patch) == plan
    assert all(b == min(2 * a, 512) for a, b in pairwise(plan.features))
