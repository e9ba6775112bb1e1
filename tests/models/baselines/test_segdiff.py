from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.models.baselines.segdiff import (
    RRDB,
    ResidualDenseBlock,
    RRDBEncoder,
    SegDiff,
    SegDiffConfig,
)
from mlffm_segdiff.segmenters.recipe import check_recipe


def network(mask_channels: int = 1) -> SegDiff:
    model = SegDiff((64, 64, 128), (False, True, False), 1, 2, 1, 4, mask_channels)
    for p in model.parameters():
        p.data.add_(0.03 * torch.randn_like(p))
    return model


def inputs(height: int, width: int, channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    image = torch.rand(2, 3, height, width) * 2 - 1
    return image, torch.randn(2, channels, height, width), torch.tensor([3, 77])


def test_as_many_parameters_as_the_published_code() -> None:
    """128 x 128 pixels, 3 residual blocks, 15 RRDBs: what the authors' script for Cityscapes builds."""
    with torch.device("meta"):
        model = SegDiff(**SegDiffConfig(name="segdiff").model_dump(exclude={"name"}))
    assert sum(p.numel() for p in model.parameters()) == 162_766_017
    assert sum(p.numel() for p in model.image_encoder.parameters()) == 10_940_864
    assert model.total_stride == 32


def test_the_output_of_the_published_code(fixed_weights: Callable[[nn.Module], None]) -> None:
    """The values are those of github.com/tomeramit/SegDiff at 4aaecf8, run with these weights."""
    model = SegDiff((64, 64, 128), (False, True, False), 2, 2, 1, 4)
    fixed_weights(model)
    image = torch.sin(torch.arange(768, dtype=torch.float64)).reshape(1, 3, 16, 16).float()
    noisy = torch.cos(2 * torch.arange(256, dtype=torch.float64)).reshape(1, 1, 16, 16).float()
    with torch.no_grad():
        noise = model(image, noisy, torch.tensor([77]))[0, 0]
    diagonal = [-0.2210614, 0.3111559, 0.7044732, 0.2967828, -1.6445143, -1.2535549, -2.2696664, -0.0058066]
    row = [0.2132066, 0.0717283, 0.0209249, 1.1207522, -0.2900957, -1.1684129, -0.4362160, 0.1624769]
    torch.testing.assert_close(noise.diagonal()[::2], torch.tensor(diagonal), rtol=0, atol=1e-4)
    torch.testing.assert_close(noise[5, ::2], torch.tensor(row), rtol=0, atol=1e-4)


def test_the_image_is_added_to_the_noisy_mask() -> None:
    """What one of them gains beyond the stems and the other loses does not show."""
    model = network()
    image, noisy, t = inputs(16, 8)
    other = torch.randn_like(noisy)
    with torch.no_grad():
        (encoded,) = model.encode(image)
        moved = encoded + model.unet.conv_in(noisy) - model.unet.conv_in(other)
        expected = model.denoise(noisy, t, [encoded])
        torch.testing.assert_close(model.denoise(other, t, [moved]), expected, rtol=0, atol=1e-4)
        assert not torch.allclose(model.denoise(other, t, [encoded]), expected, atol=1e-2)
    assert encoded.shape == (2, 64, 16, 8)


@pytest.mark.parametrize("mask_channels", [1, 2])
def test_noise_has_the_size_of_the_mask(mask_channels: int) -> None:
    with torch.no_grad():
        assert network(mask_channels)(*inputs(16, 24, mask_channels)).shape == (2, 1, 16, 24)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("widths", [64, 64], "widths and attention need one entry for each level"),
        ("heads", 3, "heads=3 does not divide all of widths"),
        ("widths", [64, 64, 48, 64, 64, 64], "groups=32 does not divide all of widths"),
        ("rrdb_width", 7, "multiple of 2"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(key: str, value: object, message: str) -> None:
    section = {"name": "segdiff", key: value}
    with pytest.raises(UserError, match=message):
        check_recipe({"name": "x", "data": {"sources": {"synthetic": None}}, "model": section}, "here")


def summing(block: ResidualDenseBlock) -> ResidualDenseBlock:
    """Return the block with convolutions that sum their channels, pixel by pixel; the second takes 4 off."""
    with torch.no_grad():
        for number, conv in enumerate(block.convs):
            conv.weight.zero_()
            conv.weight[:, :, 1, 1] = 1
            conv.bias.fill_(-4.0 if number == 1 else 0.0)
    return block


def test_a_dense_block_by_hand() -> None:
    """1, 1 + 1 - 4 = -2 leaks to -0.4, 1 + 1 - 0.4 = 1.6, 3.2, and last 6.4, of which a fifth is added."""
    found = summing(ResidualDenseBlock(1, 1))(torch.ones(1, 1, 2, 3))
    torch.testing.assert_close(found, torch.full((1, 1, 2, 3), 1 + 0.2 * 6.4))


def test_a_dense_block_without_its_last_convolution_is_its_shortcut() -> None:
    block = ResidualDenseBlock(4, 3)
    h = torch.randn(2, 4, 5, 6)
    with torch.no_grad():
        assert not torch.equal(block(h), h)
        block.convs[-1].weight.zero_()
        block.convs[-1].bias.zero_()
        assert torch.equal(block(h), h)


def test_each_convolution_reads_all_before_it() -> None:
    block = ResidualDenseBlock(6, 2)
    assert [tuple(c.weight.shape[:2]) for c in block.convs] == [(2, 6), (2, 8), (2, 10), (2, 12), (6, 14)]


def test_a_fifth_of_three_dense_blocks_is_added() -> None:
    block = RRDB(1, 1)
    for dense in block.dense:
        summing(dense)
    expected = 1 + 0.2 * by_hand(by_hand(by_hand(1.0)))
    torch.testing.assert_close(block(torch.ones(1, 1, 2, 2)), torch.full((1, 1, 2, 2), expected))


def by_hand(h: float) -> float:
    """Return the output of a summing block for a pixel."""
    seen = [h]
    for offset in (0.0, -4.0, 0.0, 0.0):
        total = sum(seen) + offset
        seen.append(total if total > 0 else 0.2 * total)
    return h + 0.2 * sum(seen)


def test_the_encoder_keeps_the_size_and_goes_around_its_trunk() -> None:
    encoder = RRDBEncoder(5, blocks=2, width=4, growth=2)
    image = torch.rand(2, 3, 7, 6)

    def encoded() -> Tensor:
        with torch.no_grad():
            found: Tensor = encoder(image)
        return found

    before = encoded()
    assert before.shape == (2, 5, 7, 6)
    with torch.no_grad():
        encoder.after_trunk.weight.zero_()
        encoder.after_trunk.bias.zero_()
    around = encoded()
    assert not torch.allclose(before, around)
    for p in encoder.trunk.parameters():
        p.data.add_(1)
    assert torch.equal(encoded(), around)
