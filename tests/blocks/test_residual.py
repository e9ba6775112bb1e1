import pytest
import torch
from torch import nn

from mlffm_segdiff.blocks.residual import ResidualBlock, group_norm


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
        scale, shift = (block.modulation(time)[:, s, None, None] for s in (slice(8), slice(8, 16)))  # type: ignore[misc]
        expected = h + block.conv2(nn.functional.silu(r * (1 + scale) + shift))
        torch.testing.assert_close(block(h, time), expected)
        assert not torch.equal(block(h, time), block(h, time + 1))


def test_without_time_width_a_block_does_not_know_the_time() -> None:
    block = ResidualBlock(8, 8)
    nn.init.normal_(block.conv2.weight)
    h = torch.randn(2, 8, 5, 5)
    assert torch.equal(block(h), block(h, torch.randn(2, 6)))
