import torch
from torch import Tensor

from mlffm_segdiff.blocks.rrdb import RRDB, ResidualDenseBlock, RRDBEncoder


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
    """Return what a summing block makes of a pixel."""
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
        encoder.after_trunk.bias.zero_()  # type: ignore[union-attr]
    around = encoded()
    assert not torch.allclose(before, around)
    for p in encoder.trunk.parameters():
        p.data.add_(1)
    assert torch.equal(encoded(), around)
