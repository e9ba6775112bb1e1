from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.models.baselines.transunet import (
    HybridStem,
    StandardisedBottleneck,
    TransUNet,
    TransUNetConfig,
)
from mlffm_segdiff.segmenters.recipe import check_recipe


def network() -> TransUNet:
    return TransUNet(32, (2, 1, 2), 24, 2, 3, (8, 6, 5, 4), 2, 0.1)


def test_as_many_parameters_as_the_published_code() -> None:
    """R50-ViT-B/16 has 105,277,081 for nine classes, each of which takes 16 * 9 weights and a bias."""
    with torch.device("meta"):
        model = TransUNet(**TransUNetConfig(name="transunet").model_dump(exclude={"name"}))
    assert sum(p.numel() for p in model.parameters()) == 105_277_081 - 8 * (16 * 9 + 1)


def test_the_output_of_the_published_code(fixed_weights: Callable[[nn.Module], None]) -> None:
    """The values are those of github.com/Beckschen/TransUNet at 0d325fb, run with these weights."""
    model = network().eval()
    fixed_weights(model)
    image = torch.sin(torch.arange(3072, dtype=torch.float64)).reshape(1, 3, 32, 32).float()
    with torch.no_grad():
        logit = model(image)[0, 0]
    diagonal = [0.0973606, 0.1746089, 0.1788379, 0.1392869, 0.1023187, 0.1758869, 0.1325776, -0.0093382]
    row = [-0.0670527, 0.2816397, 0.1240436, 0.2087918, 0.2803276, 0.2925928, 0.1653524, 0.1169198]
    torch.testing.assert_close(logit.diagonal()[::4], torch.tensor(diagonal), rtol=0, atol=2e-5)
    torch.testing.assert_close(logit[5, ::4], torch.tensor(row), rtol=0, atol=2e-5)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (32, 16), (16, 48)])
def test_levels_at_a_half_to_a_sixteenth(height: int, width: int) -> None:
    levels = HybridStem(32, (1, 1, 1))(torch.randn(1, 3, height, width))
    assert [level.shape[1:] for level in levels] == [
        (channels, height >> halvings, width >> halvings)
        for channels, halvings in ((32, 1), (128, 2), (256, 3), (512, 4))
    ]
    assert not levels[1][:, :, -1].any()
    assert not levels[1][:, :, :, -1].any()
    assert levels[1][:, :, :-1, :-1].any(dim=1).all()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 32)])
def test_an_image_becomes_a_logit_of_its_size(height: int, width: int) -> None:
    with torch.no_grad():
        assert network()(torch.randn(2, 3, height, width)).shape == (2, 1, height, width)


def test_the_output_depends_on_token_positions() -> None:
    model = network().eval()
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        before = model(image)
        model.position.embedding.copy_(model.position.embedding.flip(2))
        assert not torch.allclose(model(image), before)


def test_tokens_that_the_heads_cannot_share_are_refused() -> None:
    section = {"name": "transunet", "token_width": 100}
    with pytest.raises(UserError, match="token_width must be a multiple of heads=12"):
        check_recipe({"name": "x", "data": {"sources": {"synthetic": None}}, "model": section}, "here")


@pytest.mark.parametrize(
    ("channels_in", "stride", "height", "width"), [(128, 1, 5, 6), (32, 1, 4, 4), (128, 2, 7, 6)]
)
def test_a_bottleneck_without_its_branch_is_its_shortcut_and_a_relu(
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
