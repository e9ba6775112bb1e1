import pytest
import torch

from mlffm_segdiff.models.baselines.unet import EncoderUNet, UNet
from mlffm_segdiff.models.encoders import EfficientNetLite
from mlffm_segdiff.models.unet_blocks import double


@pytest.mark.parametrize(
    ("widths", "height", "width"), [((4, 8), 6, 4), ((4, 8, 16), 16, 24), ((4, 6, 8, 10), 16, 32)]
)
def test_an_image_becomes_a_logit_of_its_size(widths: tuple[int, ...], height: int, width: int) -> None:
    network = UNet(widths, residual_units=1)
    assert height % network.total_stride == width % network.total_stride == 0
    assert network(torch.randn(2, 3, height, width)).shape == (2, 1, height, width)


def test_residual_units_and_widths_make_it_heavier() -> None:
    def weight(widths: tuple[int, ...], units: int) -> int:
        return sum(p.numel() for p in UNet(widths, units).parameters())

    assert weight((4, 8), 0) < weight((4, 8), 2) < weight((8, 16), 2)


def test_on_an_encoder_each_level_reads_the_last_doubled_and_its_skip() -> None:
    encoder = EfficientNetLite("efficientnet_lite0")
    network = EncoderUNet(encoder, (20, 16, 12, 8)).eval()
    assert network.total_stride == 32
    inputs = [block.layers[0].in_channels for block in network.decode]
    assert inputs == [320 + 112, 20 + 40, 16 + 24, 12 + 16]
    image = torch.randn(2, 3, 64, 96)
    *skips, h = encoder(image)
    for block in network.decode:
        h = block.layers(torch.cat([double(h), skips.pop()], dim=1))
    assert h.shape == (2, 8, 32, 48)
    assert torch.equal(network(image), double(network.head(h)))
    assert network(image).shape == (2, 1, 64, 96)
