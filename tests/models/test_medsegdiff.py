import torch
from torch import Tensor, nn

from mlffm_segdiff.blocks.dynamic_condition import DynamicCondition
from mlffm_segdiff.models.medsegdiff import MedSegDiff, MedSegDiffConfig


def network(mask_channels: int = 1) -> MedSegDiff:
    model = MedSegDiff((64, 64, 128), (False, True, False), 2, 2, 16, mask_channels)
    for p in model.parameters():
        p.data.add_(0.03 * torch.randn_like(p))
    return model


def inputs(height: int, width: int, channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    image = torch.rand(2, 3, height, width) * 2 - 1
    return image, torch.randn(2, channels, height, width), torch.tensor([3, 770])


def steered(model: MedSegDiff, given: tuple[Tensor, Tensor, Tensor]) -> list[tuple[Tensor, ...]]:
    """Return image features, mask features and result of each level's encoding."""
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
    assert sum(p.numel() for p in model.unet.parameters()) == 85_598_081
    spectra = 2 * (128 * 128 * 65 + 128 * 64 * 33 + 256 * 32 * 17 + 384 * 16 * 9)
    norms = 4 * (128 + 128 + 256 + 384)
    assert sum(p.numel() for p in model.conditions.parameters()) == spectra + norms
    assert model.total_stride == 16


def test_each_level_but_the_coarsest_steers_the_image_by_the_mask() -> None:
    model = network()
    image, noisy, t = inputs(16, 24)
    seen = steered(model, (image, noisy, t))
    assert [f.shape[1:] for f, _, _ in seen] == [(64, 16, 24), (64, 8, 12)]
    assert all(f.shape == m.shape == out.shape for f, m, out in seen)
    with torch.no_grad():
        assert torch.equal(seen[0][0], model.encode(image)[0])
    other = steered(model, (image, noisy + 1, t))
    assert torch.equal(other[0][0], seen[0][0])
    assert not torch.allclose(other[0][1], seen[0][1])
    assert not torch.allclose(other[1][0], seen[1][0])


def test_the_masks_features_are_those_before_the_level_is_halved() -> None:
    model = network()
    given = inputs(16, 16)
    found: list[Tensor] = []
    last = model.unet.down_blocks[0].resnets[-1]
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


def test_spectra_halve_with_the_levels_and_fit_other_sizes() -> None:
    model = network(mask_channels=2)
    conditions = [c for c in model.conditions if isinstance(c, DynamicCondition)]
    assert [c.parser.attentive_map.shape for c in conditions] == [(2, 64, 16, 9), (2, 64, 8, 5)]
    with torch.no_grad():
        for height, width in ((16, 16), (24, 8), (4, 12)):
            assert model(*inputs(height, width, 2)).shape == (2, 1, height, width)
