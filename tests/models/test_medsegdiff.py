import pytest
import torch
from torch import Tensor, nn

from mlffm_segdiff.blocks.dynamic_condition import DynamicCondition
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.models.medsegdiff import MedSegDiff, MedSegDiffConfig
from mlffm_segdiff.segmenters.recipe import check_recipe


def network(mask_channels: int = 1) -> MedSegDiff:
    widths, attention = (64, 64, 64, 128), (False, True, False, False)
    model = MedSegDiff(widths, attention, 2, 2, 16, mask_channels)
    for p in model.parameters():
        p.data.add_(0.03 * torch.randn_like(p))
    return model


def weight(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def inputs(height: int, width: int, channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    image = torch.rand(2, 3, height, width) * 2 - 1
    return image, torch.randn(2, channels, height, width), torch.tensor([3, 770])


def steered(model: MedSegDiff, given: tuple[Tensor, Tensor, Tensor]) -> list[tuple[Tensor, ...]]:
    """Return image features, mask features and result of each stage's conditional encoding."""
    seen: list[tuple[Tensor, ...]] = []

    def keep(module: nn.Module, features: tuple[Tensor, ...], result: Tensor) -> None:
        seen.append((*features, result))

    handles = [condition.register_forward_hook(keep) for condition in model.conditions]
    with torch.no_grad():
        model(*given)
    for handle in handles:
        handle.remove()
    return seen


def test_the_unet_is_as_large_as_the_published_codes() -> None:
    """85,598,081 is that of improved diffusion for 128 x 128 pixels and 2 residual blocks."""
    with torch.device("meta"):
        model = MedSegDiff(**MedSegDiffConfig(name="medsegdiff").model_dump(exclude={"name"}))
    assert weight(model.unet) == 85_598_081
    spectra = 2 * (128 * 64 * 33 + 256 * 32 * 17 + 384 * 16 * 9)
    norms = 4 * (128 + 256 + 384)
    assert weight(model.conditions) == spectra + norms
    assert model.total_stride == 16


def test_the_images_encoder_is_like_the_masks() -> None:
    model = network()
    *stages, _ = model.unet.down_blocks
    for own, down, other in zip(model.image_stages, model.image_down, stages, strict=True):
        assert type(own) is type(other)
        assert weight(own) + weight(down) == weight(other)
    assert weight(model.image_stem) == weight(model.unet.conv_in) + 2 * 64 * 9


def test_the_middle_stages_steer_the_image_by_the_mask() -> None:
    """The paper: of four stages, the middle two."""
    model = network()
    image, noisy, t = inputs(16, 24)
    seen = steered(model, (image, noisy, t))
    assert [f.shape[1:] for f, _, _ in seen] == [(64, 8, 12), (64, 4, 6)]
    assert all(f.shape == m.shape == out.shape for f, m, out in seen)
    other = steered(model, (image, noisy + 1, t))
    assert torch.equal(other[0][0], seen[0][0])
    assert not torch.allclose(other[0][1], seen[0][1])
    assert not torch.allclose(other[1][0], seen[1][0])


def test_the_images_blocks_know_the_time() -> None:
    model = network()
    image, noisy, t = inputs(16, 16)
    seen, later = (steered(model, (image, noisy, times)) for times in (t, t + torch.tensor([0, 50])))
    assert torch.allclose(later[0][0][0], seen[0][0][0])
    assert not torch.allclose(later[0][0][1], seen[0][0][1])


def test_the_masks_features_are_those_before_the_stage_is_halved() -> None:
    model = network()
    given = inputs(16, 16)
    found: list[Tensor] = []
    last = model.unet.down_blocks[1].attentions[-1]
    last.register_forward_hook(lambda module, features, result: found.append(result))
    (_, mask_features, _), _ = steered(model, given)
    assert torch.equal(mask_features, found[0])


def test_without_the_image_it_is_the_plain_unet() -> None:
    model = network()
    image, noisy, t = inputs(16, 8)
    with torch.no_grad():
        assert not torch.allclose(model(image, noisy, t), model.unet(noisy, t), atol=1e-3)
        model.image_down[-1].weight.zero_()
        model.image_down[-1].bias.zero_()
        assert torch.equal(model(image, noisy, t), model.unet(noisy, t))


def test_spectra_halve_with_the_stages_and_fit_other_sizes() -> None:
    model = network(mask_channels=2)
    conditions = [c for c in model.conditions if isinstance(c, DynamicCondition)]
    assert [c.parser.attentive_map.shape for c in conditions] == [(2, 64, 8, 5), (2, 64, 4, 3)]
    with torch.no_grad():
        for height, width in ((16, 16), (24, 8), (8, 40)):
            assert model(*inputs(height, width, 2)).shape == (2, 1, height, width)


def test_without_a_middle_stage_it_is_refused() -> None:
    section = {"name": "medsegdiff", "widths": [64, 64], "attention": [False, False]}
    with pytest.raises(UserError, match=r"model\.widths.*at least 3"):
        check_recipe({"name": "x", "data": {"sources": {"synthetic": None}}, "model": section}, "here")
