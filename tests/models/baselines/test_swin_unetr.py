import pytest
import torch

from mlffm_segdiff.models.baselines.swin_unetr import SwinUNETR


@pytest.mark.parametrize(("feature_size", "parameters"), [(24, 6_302_875), (48, 25_139_275)])
def test_the_known_number_of_parameters(feature_size: int, parameters: int) -> None:
    assert sum(p.numel() for p in SwinUNETR(feature_size).parameters()) == parameters


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 64)])
def test_an_image_becomes_a_logit_of_its_size(height: int, width: int) -> None:
    network = SwinUNETR(12)
    assert height % network.total_stride == width % network.total_stride == 0
    assert network(torch.randn(2, 3, height, width)).shape == (2, 1, height, width)


def test_sizes_that_the_stride_does_not_divide_are_refused() -> None:
    network = SwinUNETR(12)
    with pytest.raises(ValueError, match="divisible by"):
        network(torch.randn(1, 3, network.total_stride, network.total_stride // 2 * 3))
