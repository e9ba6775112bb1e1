import pytest
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.models.baselines.single_path import EncoderSinglePath, SinglePath
from mlffm_segdiff.models.encoders import pretrained_encoder
from mlffm_segdiff.models.mlffm import MLFFM
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.recipe import check_recipe, load_recipe


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


LITE = {"encoder": "efficientnet_lite0", "widths": [4, 8, 8, 8, 8], "fusion_width": 8}


def lite_recipe() -> Recipe:
    values = load_recipe("single_path", ["data.size=64"]).model_dump(mode="json")
    return check_recipe({**values, "model": {"name": "single_path", **LITE}}, "here")


def test_an_encoder_reads_the_image_and_then_the_mask_too() -> None:
    """The projection of the mask starts at 0."""
    segmenter = build_segmenter(lite_recipe()).eval()
    model = segmenter.network
    assert isinstance(model, EncoderSinglePath)
    assert pretrained_encoder(segmenter) is model.encoder
    assert segmenter.total_stride == 32
    image, mask = torch.randn(1, 3, 64, 64), torch.randn(1, 1, 64, 64)
    seen: list[torch.Tensor] = []
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        logit = model.denoise(mask, torch.tensor([9]), model.encode(image))
        model.read.weight.fill_(2)
        model.denoise(mask, torch.tensor([9]), model.encode(image))
    assert logit.shape == (1, 1, 64, 64)
    assert torch.equal(seen[0], image)
    torch.testing.assert_close(seen[1], image + 2 * mask)


def test_gradients_reach_all_of_the_network_on_an_encoder() -> None:
    segmenter = build_segmenter(lite_recipe()).train()
    for p in segmenter.parameters():
        if not p.any():
            p.data.normal_(std=0.05)
    mask = torch.ones(2, 1, 64, 64)
    mask[:, :, :32] = -1
    batch = Batch(torch.randn(2, 3, 64, 64), mask, 20 * -mask, ["a", "b"], [])
    segmenter.loss(batch).backward()
    assert [name for name, p in segmenter.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.blocks=[1,1,1,1]", "blocks has no effect with encoder"),
        ("model.widths=[4,8]", "widths needs 5 entries with encoder efficientnet_lite0"),
    ],
)
def test_options_that_do_not_fit_the_encoder_are_refused(override: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        load_recipe("single_path", ["model.encoder=efficientnet_lite0", "model.widths=[4,8,8,8,8]", override])
