import pytest
import torch
from pydantic import ValidationError

from mlffm_segdiff.models.baselines.diffusion_unet import DiffusionUNet, DiffusionUNetConfig


def perturbed(mask_channels: int = 1) -> DiffusionUNet:
    network = DiffusionUNet((32, 32), (False, True), 1, 2, mask_channels)
    for p in network.parameters():
        p.data.add_(0.05 * torch.randn_like(p))
    return network


def test_as_many_parameters_as_in_the_paper() -> None:
    """Ho et al. 2020, appendix B: 35.7 M for CIFAR-10, which attends at 16 of 32 pixels."""
    with torch.device("meta"):
        network = DiffusionUNet((128, 256, 256, 256), (False, True, False, False), 2, 1)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 35.7


@pytest.mark.parametrize("mask_channels", [1, 2])
def test_the_output_depends_on_image_mask_and_time(mask_channels: int) -> None:
    network = perturbed(mask_channels)
    image, noisy, t = torch.rand(2, 3, 8, 12), torch.randn(2, mask_channels, 8, 12), torch.tensor([3, 900])
    with torch.no_grad():
        (features,) = network.encode(image)
        assert torch.equal(features, image)
        found = network(image, noisy, t)
        assert found.shape == (2, 1, 8, 12)
        assert torch.equal(network.denoise(noisy, t, [features]), found)
        for changed in (network(image + 0.1, noisy, t), network(image, noisy + 0.1, t)):
            assert not torch.allclose(found, changed)
        later = network(image, noisy, t + torch.tensor([0, 50]))
    assert torch.allclose(later[0], found[0])
    assert not torch.allclose(later[1], found[1])


def test_the_stride_is_that_of_its_levels() -> None:
    assert perturbed().total_stride == 2
    assert DiffusionUNet((32,) * 4, (False,) * 4, 1, 1).total_stride == 8


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"widths": (32, 64), "attention": (True,)}, "one entry for each level"),
        ({"widths": (32, 64), "attention": (True, False), "heads": 3}, "heads=3 does not divide"),
        ({"widths": (48, 96), "attention": (False, False)}, "groups=32 does not divide"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        DiffusionUNetConfig.model_validate({"name": "diffusion_unet", **values})
