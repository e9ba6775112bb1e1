import pytest
import torch
import torch.nn.functional as F

from mlffm_segdiff.blocks.standardised_bottleneck import StandardisedBottleneck


@pytest.mark.parametrize(
    ("channels_in", "stride", "height", "width"), [(128, 1, 5, 6), (32, 1, 4, 4), (128, 2, 7, 6)]
)
def test_without_its_branch_it_is_its_shortcut_and_a_relu(
    channels_in: int, stride: int, height: int, width: int
) -> None:
    block = StandardisedBottleneck(channels_in, 128, stride)
    h = torch.randn(2, channels_in, height, width)
    with torch.no_grad():
        before = block(h)
        block.norm3.weight.zero_()
        after = block(h)
        shortcut = block.shortcut(h)
    assert before.shape == (2, 128, -(-height // stride), -(-width // stride))
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, F.relu(shortcut))


def test_the_shortcut_is_the_input_where_shapes_stay_and_else_normalised_by_channel() -> None:
    h = torch.randn(2, 128, 6, 6)
    assert StandardisedBottleneck(128, 128).shortcut(h) is h
    changed = StandardisedBottleneck(128, 128, stride=2).shortcut(h)
    torch.testing.assert_close(changed.mean(dim=(2, 3)), torch.zeros(2, 128), rtol=0, atol=1e-5)
    torch.testing.assert_close(changed.var(dim=(2, 3), correction=0), torch.ones(2, 128), rtol=0, atol=1e-2)


def test_the_middle_is_a_quarter_as_wide_and_carries_the_stride() -> None:
    block = StandardisedBottleneck(64, 256, stride=2)
    assert [tuple(c.weight.shape) for c in (block.conv1, block.conv2, block.conv3)] == [
        (64, 64, 1, 1),
        (64, 64, 3, 3),
        (256, 64, 1, 1),
    ]
    assert [c.stride for c in (block.conv1, block.conv2, block.conv3)] == [(1, 1), (2, 2), (1, 1)]
