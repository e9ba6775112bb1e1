"""Against plans that nnU-Net itself has made, as its users quote them."""

from itertools import pairwise
from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mlffm_segdiff.models.baselines.nnunet import NNUNet
from mlffm_segdiff.models.baselines.nnunet_plan import (
    Plan,
    feature_values,
    next_stride,
    plan_batch,
    plan_network,
    plan_patch,
)

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


def test_a_plan_that_nnunet_printed_in_full() -> None:
    """324 volumes of 100.5 slices of 227 x 215, background and three classes (a public log of v2)."""
    plan = plan_network(227, 215, classes=4)
    assert plan == Plan((256, 224), ((1, 1), *[(2, 2)] * 5))
    assert plan.features == (32, 64, 128, 256, 512, 512)
    assert plan_batch(plan, 227, 215, images=32_562, classes=4) == 56


@pytest.mark.parametrize(("images", "batch"), [(1550, 78), (100, 5), (9000, 199), (1, 2)])
def test_the_batch_at_128_by_hand(images: int, batch: int) -> None:
    """Stages of 128, 64, 32, 16, 8 and 4 pixels a side: 2 and, in the decoder, 3 values a feature."""
    stages = [(32, 128), (64, 64), (128, 32), (256, 16), (512, 8), (512, 4)]
    values = sum(5 * f * side**2 for f, side in stages[:-1]) + 2 * 512 * 16 + 2 * 128**2
    plan = plan_network(128, 128)
    assert feature_values(plan) == values == 5_128_192
    assert round(85e6 / values * 12) == 199
    assert plan_batch(plan, 128, 128, images) == batch == max(min(round(0.05 * images), 199), 2)


@pytest.mark.parametrize(("height", "width"), [(128, 128), (191.5, 255), (24, 8), (600, 450)])
def test_values_are_those_that_the_networks_convolutions_give(height: float, width: float) -> None:
    """Ours has one output for two classes, and the supervised ones, which nnU-Net leaves out."""
    plan = plan_network(height, width)
    counted = []
    with torch.device("meta"):
        network = NNUNet(plan.features, plan.strides)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.register_forward_hook(lambda _module, _inputs, output: counted.append(output.numel()))
        network(torch.zeros(1, 3, *plan.patch))
    assert feature_values(plan) == sum(counted) + prod(plan.patch)


def test_medians_may_end_in_a_half() -> None:
    """nnU-Net halves an axis of 8, not one of 7.5, and rounds the patch up."""
    assert plan_network(7.5, 7.5) == Plan((8, 8), ((1, 1),))
    assert plan_network(573.5, 765) == plan_network(574, 765)
    plan = plan_network(573.5, 765)
    assert plan_batch(plan, 573.5, 765, 100) == round(573.5 * 765 * 100 * 0.05 / prod(plan.patch))


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
    """24 x 8: both to 12 x 4, then only the longer to 6 x 4; 16 x 8 stops, since only 8 would become 4."""
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
