import pytest
import torch

from mlffm_segdiff.models.unet import UNet


@pytest.mark.parametrize(
    ("widths", "height", "width"), [((4, 8), 6, 4), ((4, 8, 16), 16, 24), ((4, 6, 8, 10), 16, 32)]
)
def test_an_image_becomes_a_logit_of_its_size(widths: tuple[int, ...], height: int, width: int) -> None:
    network = UNet(widths, residual_units=1)
    assert height % network.total_stride == width % network.total_stride == 0
    logit = network(torch.randn(2, 3, height, width))
    assert logit.shape == (2, 1, height, width)
    logit.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_residual_units_and_widths_make_it_heavier() -> None:
    def weight(widths: tuple[int, ...], units: int) -> int:
        return sum(p.numel() for p in UNet(widths, units).parameters())

    assert weight((4, 8), 0) < weight((4, 8), 2) < weight((8, 16), 2)
