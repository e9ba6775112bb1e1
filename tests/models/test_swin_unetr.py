import pytest
import torch

from mlffm_segdiff.models.swin_unetr import TOTAL_STRIDE, swin_unetr


def test_the_known_number_of_parameters() -> None:
    assert sum(p.numel() for p in swin_unetr(24).parameters()) == 6_302_875


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 64)])
def test_an_image_becomes_a_logit_of_its_size(height: int, width: int) -> None:
    network = swin_unetr(12)
    logit = network(torch.randn(2, 3, height, width))
    assert logit.shape == (2, 1, height, width)
    logit.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_sizes_that_the_stride_does_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="divisible by"):
        swin_unetr(12)(torch.randn(1, 3, TOTAL_STRIDE, TOTAL_STRIDE + TOTAL_STRIDE // 2))
