from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from mlffm_segdiff.models.encoders import EfficientNetLite, LiteName, ScratchEncoder
from mlffm_segdiff.models.mlffm import MLFFM
from mlffm_segdiff.models.mlffm_segdiff import (
    GatedInjection,
    LateAddition,
    MaskLevel,
    MLFFMSegDiff,
    MLFFMSegDiffConfig,
    noise_preserving_average,
)

IMAGE_WIDTHS, MASK_WIDTHS, DETAIL_WIDTH = (8, 12, 16, 20), (6, 8, 10, 12), 4


def network(
    levels: int = 3, fusion: bool = True, mask_channels: int = 1, finer: int = 1, **settings: Any
) -> MLFFMSegDiff:
    torch.manual_seed(0)
    masks = MASK_WIDTHS[finer:levels]
    module = MLFFM(masks, 6) if fusion else None
    encoder = ScratchEncoder(IMAGE_WIDTHS[:levels], (1,) * levels)
    return MLFFMSegDiff(encoder, masks, DETAIL_WIDTH, module, mask_channels, **settings)


def perturbed(model: MLFFMSegDiff) -> MLFFMSegDiff:
    for p in model.parameters():
        p.data.add_(0.05 * torch.randn_like(p))
    return model


def inputs(height: int, width: int, channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height)
    image = torch.rand(2, 3, height, width, generator=generator) * 2 - 1
    return image, torch.randn(2, channels, height, width, generator=generator), torch.tensor([3, 900])


@pytest.mark.parametrize(
    ("levels", "finer", "height", "width"),
    [
        (1, 0, 6, 4),
        (2, 0, 12, 8),
        (2, 1, 16, 8),
        (3, 0, 24, 40),
        (4, 2, 16, 32),
        (4, 3, 32, 16),
        (4, 1, 128, 128),
    ],
)
@pytest.mark.parametrize("fusion", [True, False])
def test_any_number_of_levels_and_any_size_the_stride_divides(
    levels: int, finer: int, height: int, width: int, fusion: bool
) -> None:
    model = network(levels, fusion, finer=finer)
    assert model.total_stride == 2**levels
    assert model.mask_stride == 2 ** (1 + finer)
    assert model(*inputs(height, width)).shape == (2, 1, height, width)


def test_without_interaction_the_image_meets_only_the_skips() -> None:
    """What goes down the mask path is the same for any image; the logit is not."""
    model = perturbed(network(fusion=False, finer=0, interaction=False))
    seen: list[Tensor] = []
    model.levels[-1].before.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    image, noisy_mask, t = inputs(32, 32)
    logits = [model(one, noisy_mask, t) for one in (image, -image)]
    assert torch.equal(*seen)
    assert not torch.allclose(*logits)
    gated = perturbed(network(finer=0))
    gated.levels[-1].before.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    for one in (image, -image):
        gated(one, noisy_mask, t)
    assert not torch.allclose(*seen[2:])


def test_without_interaction_a_skip_is_the_mask_path_plus_the_images_value() -> None:
    level = MaskLevel(6, 4, 8, interaction=False, mask_channels=1)
    h, features, time = torch.randn(2, 4, 5, 5), torch.randn(2, 6, 5, 5), torch.randn(2, 8)
    x = torch.randn(2, 1, 5, 5)
    below, skip = level(h, x, time, level.inject.project(features))
    torch.testing.assert_close(below, h + level.read(x))  # a new residual block is its shortcut
    torch.testing.assert_close(skip - below, level.inject.value(features))


def test_averages_keep_white_noise_at_its_variance_and_enlarge_what_is_constant() -> None:
    torch.manual_seed(0)
    noise = noise_preserving_average(torch.randn(1, 1, 512, 512), 8)
    assert float(noise.var()) == pytest.approx(1, abs=0.05)
    assert torch.equal(
        noise_preserving_average(torch.full((1, 2, 8, 16), 0.5), 4), torch.full((1, 2, 2, 4), 2.0)
    )


@pytest.mark.parametrize("finer", [0, 1, 2])
def test_encode_gives_key_and_value_of_each_level(finer: int) -> None:
    widths = [*[DETAIL_WIDTH] * finer, *MASK_WIDTHS[finer:3]]
    features = network(finer=finer).encode(torch.zeros(2, 3, 32, 32))
    assert [f.shape for f in features] == [(2, 2 * width, 16 >> n, 16 >> n) for n, width in enumerate(widths)]


def test_the_mask_path_has_the_coarsest_levels_of_the_image_path() -> None:
    model = network(levels=4, finer=2)
    sizes = []
    for level in model.levels:
        level.register_forward_hook(lambda module, given, out: sizes.append(tuple(out[1].shape[1:])))
    model(*inputs(32, 32))
    assert sizes == [(10, 4, 4), (12, 2, 2)]


def test_a_new_fusion_module_changes_nothing_and_a_trained_one_does() -> None:
    plain, fused = network(fusion=False), network()
    fused.load_state_dict(plain.state_dict(), strict=False)
    given = inputs(32, 32)
    assert torch.equal(plain(*given), fused(*given))
    for p in fused.fusion.parameters():
        p.data.add_(0.1)
    assert not torch.allclose(plain(*given), fused(*given))


def test_every_parameter_learns() -> None:
    model = network(levels=4)
    torch.manual_seed(1)
    perturbed(model)
    model(*inputs(32, 32)).square().sum().backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_output_depends_on_image_mask_and_time() -> None:
    model = perturbed(network())
    image, noisy, t = inputs(32, 32)
    with torch.no_grad():
        found = model(image, noisy, t)
        for changed in (
            model(image + 0.1, noisy, t),
            model(image, noisy + 0.1, t),
            model(image, noisy, t + 50),
        ):
            assert not torch.allclose(found, changed)


@pytest.mark.parametrize("mask_channels", [1, 2])
def test_rows_are_independent(mask_channels: int) -> None:
    model = perturbed(network(mask_channels=mask_channels))
    image, noisy, t = inputs(32, 32, mask_channels)
    with torch.no_grad():
        together = model(image, noisy, t)
        for row in range(2):
            single = model(image[row : row + 1], noisy[row : row + 1], t[row : row + 1])
            torch.testing.assert_close(together[row : row + 1], single, rtol=0, atol=1e-5)


def test_features_hold_all_that_denoising_needs_of_the_image() -> None:
    model = perturbed(network())
    image, noisy, t = inputs(32, 32)
    with torch.no_grad():
        features = model.encode(image)
        kept = [f.clone() for f in features]
        first = model.denoise(noisy, t, features)
        assert torch.equal(model.denoise(noisy, t, features), first)
        assert torch.equal(first, model(image, noisy, t))
    assert all(torch.equal(a, b) for a, b in zip(features, kept, strict=True))


def test_gated_injection_equals_the_unfactored_formula() -> None:
    inject = GatedInjection(5, 4).double()
    gate = nn.Conv2d(8, 4, 1).double()
    with torch.no_grad():
        gate.weight.copy_(torch.cat([inject.gate_mask.weight, inject.gate_key.weight], dim=1))
        gate.bias.copy_(inject.gate_mask.bias)
        h, image = torch.randn(2, 4, 6, 7).double(), torch.randn(2, 5, 6, 7).double()
        k, v = inject.key_value(image).split(4, dim=1)
        expected = h * torch.sigmoid(gate(torch.cat([h, k], dim=1))) + v
        found = inject(h, inject.project(image))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_image_reaches_both_gate_and_value() -> None:
    inject = GatedInjection(5, 4)
    image = torch.randn(1, 5, 3, 3)
    h = torch.randn(1, 4, 3, 3)
    inject(h, inject.project(image)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in inject.parameters())


def test_late_addition_adds_a_matrix_of_the_image_to_each_pixel() -> None:
    torch.manual_seed(0)
    block = LateAddition(3, 2)
    h, features = torch.randn(1, 2, 4, 5), torch.randn(1, 3, 4, 5)
    value = torch.einsum("dc,bchw->bdhw", block.value.weight[:, :, 0, 0], features)
    expected = h + value + block.value.bias.view(-1, 1, 1)
    torch.testing.assert_close(block(h, block.project(features)), expected)


def section(**keys: object) -> MLFFMSegDiffConfig:
    return MLFFMSegDiffConfig.model_validate({"name": "mlffm_segdiff", **keys})


@pytest.mark.parametrize("name", get_args(LiteName))
def test_encoders_by_name(name: str) -> None:
    encoder = section(encoder=name).build(1).encoder
    assert isinstance(encoder, EfficientNetLite)
    assert encoder.name == name


@pytest.mark.parametrize(("widths", "blocks"), [((), ()), ((8, 16), (1,)), ((), (1, 1))])
def test_scratch_needs_widths_and_blocks(widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="scratch needs encoder_widths and encoder_blocks, one entry for"):
        section(size="tiny", encoder_widths=widths, encoder_blocks=blocks)


@pytest.mark.parametrize(("widths", "blocks"), [((8,), (1,)), ((8,), ()), ((), (1,))])
def test_widths_and_blocks_are_for_scratch(widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="are for encoder scratch, not efficientnet_lite1"):
        section(encoder="efficientnet_lite1", encoder_widths=widths, encoder_blocks=blocks)
