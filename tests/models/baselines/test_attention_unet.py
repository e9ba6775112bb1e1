import pytest
import torch
from monai.networks.nets.attentionunet import AttentionBlock
from torch import Tensor, nn

from mlffm_segdiff.models.baselines.attention_unet import AttentionUNet


@pytest.mark.parametrize(("widths", "stride"), [((4, 8), 2), ((4, 8, 16, 16), 8)])
def test_an_image_becomes_a_logit_of_its_size(widths: tuple[int, ...], stride: int) -> None:
    network = AttentionUNet(widths).eval()
    assert network.total_stride == stride
    assert network(torch.randn(1, 3, 2 * stride, 4 * stride)).shape == (1, 1, 2 * stride, 4 * stride)


def test_each_skip_is_weighted_at_each_pixel_by_the_level_below() -> None:
    """Oktay et al., eq. 1: one coefficient in (0, 1) a pixel, the same for all channels."""
    network = AttentionUNet((4, 8, 8)).eval()
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(module: nn.Module, given: object, named: dict[str, Tensor], out: Tensor) -> None:
        seen.append((named["x"], out))

    for block in network.modules():
        if isinstance(block, AttentionBlock):
            block.register_forward_hook(keep, with_kwargs=True)
    with torch.no_grad():
        network(torch.randn(1, 3, 16, 16))
    assert [tuple(skip.shape) for skip, _ in seen] == [(1, 8, 8, 8), (1, 4, 16, 16)]
    for skip, weighted in seen:
        lit = skip.sum(dim=1) > 1e-3  # after a ReLU some pixels are 0 in every channel
        before, after = (x.movedim(1, -1)[lit] for x in (skip, weighted))
        coefficient = after.sum(dim=1, keepdim=True) / before.sum(dim=1, keepdim=True)
        torch.testing.assert_close(after, coefficient * before, rtol=1e-3, atol=1e-4)
        assert 0 < float(coefficient.min()) < float(coefficient.max()) < 1
