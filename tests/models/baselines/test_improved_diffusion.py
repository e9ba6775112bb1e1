import pytest
import torch

from mlffm_segdiff.models.baselines.improved_diffusion import ImprovedDiffusionUNet


def network(attention: tuple[bool, ...], blocks: int = 1) -> ImprovedDiffusionUNet:
    unet = ImprovedDiffusionUNet((32, 64, 32)[: len(attention)], attention, blocks, 2, 1)
    for p in unet.parameters():
        p.data.add_(0.05 * torch.randn_like(p))
    return unet


@pytest.mark.parametrize("attention", [(False, True, False), (True, False), (False, False, True)])
@pytest.mark.parametrize("blocks", [1, 2])
def test_the_parts_make_up_monais_forward(attention: tuple[bool, ...], blocks: int) -> None:
    unet = network(attention, blocks)
    noisy, t = torch.randn(2, 1, 8, 16), torch.tensor([0, 77])
    with torch.no_grad():
        found = unet.from_stem(unet.conv_in(noisy), unet.embed(t))
        assert torch.equal(found, unet(noisy, t))
    assert found.shape == (2, 1, 8, 16)
    assert unet.total_stride == 2 ** (len(attention) - 1)


def test_decoding_leaves_the_skips_as_they_were() -> None:
    unet = network((False, False))
    skips = [torch.randn(1, width, side, side) for width, side in ((32, 8), (32, 8), (32, 4), (64, 4))]
    with torch.no_grad():
        first = unet.decode(skips[-1], skips, unet.embed(torch.tensor([3])))
        assert torch.equal(unet.decode(skips[-1], skips, unet.embed(torch.tensor([3]))), first)
    assert len(skips) == 4


def test_times_are_distinguished_in_the_type_of_the_weights() -> None:
    unet = network((False, False))
    with torch.no_grad():
        one, other = unet.embed(torch.tensor([3, 4]))
        assert not torch.allclose(one, other, atol=1e-3)
        assert unet.bfloat16().embed(torch.tensor([3])).dtype == torch.bfloat16
