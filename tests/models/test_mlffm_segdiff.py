import pytest
import torch
from torch import Tensor

from mlffm_segdiff.blocks.mlffm import MLFFM
from mlffm_segdiff.models.mlffm_segdiff import DETAIL_CHANNELS, ImagePath, MLFFMSegDiff

IMAGE_WIDTHS, MASK_WIDTHS = (8, 12, 16, 20), (6, 8, 10, 12)


def network(levels: int = 3, stride: int = 2, fusion: bool = True, mask_channels: int = 1) -> MLFFMSegDiff:
    torch.manual_seed(0)
    masks = MASK_WIDTHS[:levels]
    module = MLFFM(masks, 6) if fusion else None
    return MLFFMSegDiff(IMAGE_WIDTHS[:levels], (1,) * levels, masks, stride, module, mask_channels)


def perturbed(model: MLFFMSegDiff) -> MLFFMSegDiff:
    for p in model.parameters():
        p.data.add_(0.05 * torch.randn_like(p))
    return model


def inputs(height: int, width: int, channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height)
    image = torch.rand(2, 3, height, width, generator=generator) * 2 - 1
    return image, torch.randn(2, channels, height, width, generator=generator), torch.tensor([3, 900])


@pytest.mark.parametrize(
    ("levels", "stride", "height", "width"),
    [(1, 1, 5, 7), (1, 2, 6, 4), (2, 4, 16, 8), (3, 2, 24, 40), (4, 1, 8, 16), (4, 2, 128, 128)],
)
@pytest.mark.parametrize("fusion", [True, False])
def test_any_number_of_levels_and_any_size_the_stride_divides(
    levels: int, stride: int, height: int, width: int, fusion: bool
) -> None:
    model = network(levels, stride, fusion)
    assert model.total_stride == stride * 2 ** (levels - 1)
    assert model(*inputs(height, width)).shape == (2, 1, height, width)


def test_the_image_path_halves_level_by_level() -> None:
    features = ImagePath(IMAGE_WIDTHS, (1, 2, 0, 1), 2)(torch.zeros(1, 3, 64, 32))
    assert [f.shape[1:] for f in features] == [(8, 32, 16), (12, 16, 8), (16, 8, 4), (20, 4, 2)]


def test_encode_gives_the_detail_and_key_and_value_of_each_level() -> None:
    features = network().encode(torch.zeros(2, 3, 32, 32))
    assert [f.shape for f in features] == [
        (2, DETAIL_CHANNELS, 32, 32),
        *((2, 2 * width, 16 >> n, 16 >> n) for n, width in enumerate(MASK_WIDTHS[:3])),
    ]


def test_a_new_fusion_module_changes_nothing_and_a_trained_one_does() -> None:
    plain, fused = network(fusion=False), network()
    fused.load_state_dict(plain.state_dict(), strict=False)
    given = inputs(32, 32)
    assert torch.equal(plain(*given), fused(*given))
    for p in fused.fusion.parameters():
        p.data.add_(0.1)
    assert not torch.allclose(plain(*given), fused(*given))


def test_every_parameter_learns() -> None:
    model = perturbed(network(levels=4))
    model(*inputs(32, 32)).square().sum().backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_output_knows_image_mask_and_time() -> None:
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
            alone = model(image[row : row + 1], noisy[row : row + 1], t[row : row + 1])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)


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
