import pytest
import torch

from mlffm_segdiff.models.baselines.mlffm_unet import MLFFMUNet
from mlffm_segdiff.models.baselines.unet import EncoderUNet, UNet
from mlffm_segdiff.models.encoders import EfficientNetLite
from mlffm_segdiff.models.mlffm import MLFFM

WIDTHS = (4, 6, 8, 10)


@pytest.mark.parametrize("residual_units", [0, 2])
@pytest.mark.parametrize("fusion", [MLFFM(WIDTHS, 6), None])
def test_with_a_new_mlffm_or_none_it_is_exactly_the_unet(residual_units: int, fusion: MLFFM | None) -> None:
    torch.manual_seed(3)
    unet = UNet(WIDTHS, residual_units).eval()
    torch.manual_seed(3)
    ours = MLFFMUNet(WIDTHS, residual_units, fusion).eval()
    assert ours.total_stride == unet.total_stride
    image = torch.randn(2, 3, 16, 24)
    with torch.no_grad():
        assert torch.equal(ours(image), unet(image))
    weights = [sum(p.numel() for p in m.parameters()) for m in (ours, unet, fusion or torch.nn.Identity())]
    assert weights[0] == weights[1] + weights[2]


def test_on_an_encoder_a_new_mlffm_over_all_levels_changes_nothing() -> None:
    encoder = EfficientNetLite("efficientnet_lite0")
    plain = EncoderUNet(encoder, (8, 8, 8, 8)).eval()
    fusion = MLFFM(encoder.widths, 6)
    fused = EncoderUNet(encoder, (8, 8, 8, 8), fusion).eval()
    state = {**plain.state_dict(), **{f"fusion.{name}": value for name, value in fusion.state_dict().items()}}
    fused.load_state_dict(state)
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = plain(image)
        assert torch.equal(fused(image), expected)
        for merge in fusion.merge:
            last = merge[-1]
            last.weight.normal_(std=0.1)
            changed = fused(image)
            assert not torch.allclose(changed, expected)
            expected = changed


def test_a_trained_mlffm_changes_the_skips_and_the_deepest_level() -> None:
    fusion = MLFFM(WIDTHS, 6)
    network = MLFFMUNet(WIDTHS, 1, fusion).eval()
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        before = network(image)
        for merge in fusion.merge:
            last = merge[-1]
            last.weight.normal_(std=0.1)
            after = network(image)
            assert not torch.allclose(before, after)
            before = after
