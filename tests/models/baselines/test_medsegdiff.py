import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.models.baselines.medsegdiff import (
    DynamicCondition,
    FFParser,
    MedSegDiff,
    MedSegDiffConfig,
    filtered,
    waves,
)
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


sides = st.integers(1, 12)


@given(sides, sides)
def test_the_filter_equals_numpys_transform(height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(13 * height + width)
    m = torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)
    real, imaginary = torch.randn(2, 3, height, width // 2 + 1, generator=generator, dtype=torch.float64)
    spectrum = np.fft.rfft2(m.numpy()) * (real.numpy() + 1j * imaginary.numpy())
    expected = np.fft.irfft2(spectrum, s=(height, width))
    np.testing.assert_allclose(filtered(m, real, imaginary).numpy(), expected, atol=2e-6)


def test_waves_by_hand() -> None:
    cosine, sine = waves(4, 3, torch.zeros(1))
    expected_cosine = [[1, 1, 1], [1, 0, -1], [1, -1, 1], [1, 0, -1]]
    expected_sine = [[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, -1, 0]]
    torch.testing.assert_close(cosine, torch.tensor(expected_cosine).float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(sine, torch.tensor(expected_sine).float(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 6), (5, 7), (3, 1)])
def test_a_new_parser_changes_nothing_at_any_size(height: int, width: int) -> None:
    m = torch.randn(2, 3, height, width)
    torch.testing.assert_close(FFParser(3, 8)(m), m, rtol=0, atol=1e-5)


def test_zero_but_for_the_constant_wave_leaves_the_mean() -> None:
    parser = FFParser(2, 6)
    with torch.no_grad():
        parser.attentive_map.zero_()
        parser.attentive_map[0, :, 0, 0] = 1
    m = torch.randn(1, 2, 6, 6)
    torch.testing.assert_close(parser(m), m.mean(dim=(2, 3), keepdim=True).expand_as(m))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (4, 12), (16, 6), (7, 5)])
def test_phases_that_grow_with_the_frequency_move_the_image(height: int, width: int) -> None:
    """e^(-2 pi i (2 k_y / H + k_x / W)) is a shift by two rows and one column."""
    rows = torch.fft.fftfreq(height)[:, None]
    columns = torch.arange(width // 2 + 1) / width
    angle = -2 * math.pi * (2 * rows + columns)
    m = torch.randn(1, 1, height, width)
    moved = filtered(m, torch.cos(angle)[None], torch.sin(angle)[None])
    torch.testing.assert_close(moved, m.roll((2, 1), dims=(2, 3)), rtol=0, atol=1e-5)


def frequencies(height: int, width: int) -> Tensor:
    """Return |k_y| + 3 k_x in cycles a pixel (H W//2+1): straight but where k_y is 0 or turns around."""
    return torch.fft.fftfreq(height).abs()[:, None] + 3 * torch.arange(width // 2 + 1) / width


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 16), (24, 32), (4, 8), (32, 4)])
def test_at_another_size_a_frequency_keeps_its_weight(height: int, width: int) -> None:
    parser = FFParser(1, 8)
    with torch.no_grad():
        parser.attentive_map[0, 0] = frequencies(8, 8)
        parser.attentive_map[1, 0] = -frequencies(8, 8)
    real, imaginary = parser.map_for(height, width)[:, 0]
    torch.testing.assert_close(real, frequencies(height, width))
    torch.testing.assert_close(imaginary, -frequencies(height, width))


def test_the_map_learns_and_half_precision_works() -> None:
    parser = FFParser(2, 4)
    m = torch.randn(1, 2, 6, 6)
    parser(m).square().sum().backward()
    assert parser.attentive_map.grad is not None
    assert parser.attentive_map.grad[0].all()
    rounded = parser.bfloat16()(m.bfloat16())
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), m, rtol=0, atol=0.1)


Array = NDArray[np.float64]


def normalised(m: Array, weight: Array, bias: Array) -> Array:
    """Normalise a case (C H W) over all its values, then scale and shift its channels."""
    out: Array = (m - m.mean()) / np.sqrt(m.var() + 1e-5)
    return out * weight[:, None, None] + bias[:, None, None]


def test_the_condition_by_hand() -> None:
    """(1, 3) and (5, 1) become (-1, 1) and (1, -1); their product (-1, -1) times (1, 3) is (-1, -3)."""
    image, mask = torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[5.0, 1.0]]]])
    found = DynamicCondition(1, 2)(image, mask)
    torch.testing.assert_close(found, torch.tensor([[[[-1.0, -3.0]]]]), rtol=0, atol=1e-4)


def test_the_condition_equals_numpy() -> None:
    condition = DynamicCondition(3, 6)
    for p in condition.parameters():
        p.data.add_(0.5 * torch.randn_like(p))
    image, mask = torch.randn(2, 2, 3, 6, 6)
    p = {name: value.detach().double().numpy() for name, value in condition.named_parameters()}
    real, imaginary = p["parser.attentive_map"]
    expected = []
    for i, m in zip(image.double().numpy(), mask.double().numpy(), strict=True):
        parsed = np.fft.irfft2(np.fft.rfft2(m) * (real + 1j * imaginary), s=(6, 6))
        normed_image = normalised(i, p["norm_image.weight"], p["norm_image.bias"])
        normed_mask = normalised(parsed, p["norm_mask.weight"], p["norm_mask.bias"])
        expected.append(normed_image * normed_mask * i)
    found = condition(image, mask).detach().numpy()
    np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=1e-4)


def test_a_mask_whose_frequencies_are_all_cut_steers_nothing() -> None:
    condition = DynamicCondition(2, 4)
    image, mask = torch.randn(2, 1, 2, 4, 4)
    with torch.no_grad():
        assert condition(image, mask).any()
        condition.parser.attentive_map.zero_()
        assert not condition(image, mask).any()
