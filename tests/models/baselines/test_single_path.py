import pytest
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.models.baselines.single_path import SinglePath
from mlffm_segdiff.models.mlffm import MLFFM
from mlffm_segdiff.segmenters.recipe import load_recipe


def network(fusion: MLFFM | None = None, mask_channels: int = 1) -> SinglePath:
    torch.manual_seed(0)
    return SinglePath((8, 12, 16), (1, 2, 1), 2, fusion, mask_channels)


@pytest.mark.parametrize("mask_channels", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (24, 40)])
def test_any_size_the_stride_divides(mask_channels: int, height: int, width: int) -> None:
    model = network(mask_channels=mask_channels)
    assert model.total_stride == 8
    noisy_mask, image = torch.randn(2, mask_channels, height, width), torch.randn(2, 3, height, width)
    logit = model.denoise(noisy_mask, torch.tensor([0, 9]), model.encode(image))
    assert logit.shape == (2, 1, height, width)


def test_nothing_of_the_image_is_computed_once() -> None:
    image = torch.randn(1, 3, 16, 16)
    assert network().encode(image) == [image]


def test_a_new_fusion_module_changes_nothing() -> None:
    plain, fused = network(), network(MLFFM((8, 12, 16), 6))
    fused.load_state_dict(plain.state_dict(), strict=False)
    given = torch.randn(2, 1, 32, 32), torch.tensor([3, 900]), [torch.randn(2, 3, 32, 32)]
    assert torch.equal(plain.denoise(*given), fused.denoise(*given))


def test_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(UserError, match="one entry for each level"):
        load_recipe("single_path", ["model.blocks=[1,1]"])
