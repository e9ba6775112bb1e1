from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.losses.boundary_weight import BandWeight, uniform_weight
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.direct import DirectSegmenter, truth_at

UNET = {"name": "unet", "widths": [4, 8, 16], "residual_units": 1}
Make = Callable[..., BaseSegmenter]


def test_the_loss_is_the_mask_loss_with_the_weight_of_a_clean_mask(trained: Make, batch: Batch) -> None:
    segmenter = trained(model=UNET, loss={"band_gain": 3, "band_width": 2})
    weight = 1 + 3 * torch.exp(-batch.distance.square() / 8)
    logit = segmenter.network(batch.image)
    torch.testing.assert_close(segmenter.loss(batch), RegionLoss()(logit, batch.mask, batch.distance, weight))


def test_a_direct_segmenter_draws_no_samples(trained: Make, batch: Batch) -> None:
    segmenter = trained(model=UNET)
    found = segmenter.segment(batch.image, SamplingConfig())
    again = segmenter.segment(batch.image, SamplingConfig(samples=9, steps=9, seed=9, sampler="ddpm"))
    assert torch.equal(found.probability, again.probability)
    assert not found.spread.any()
    torch.testing.assert_close(found.probability, torch.sigmoid(segmenter.network(batch.image)))


@pytest.mark.parametrize(("widths", "stride"), [([4, 8], 2), ([4, 8, 16, 16], 8)])
def test_total_stride(widths: list[int], stride: int, trained: Make) -> None:
    assert trained(model={**UNET, "widths": widths}).total_stride == stride


class TwoSizes(nn.Module):
    """A network under deep supervision whose logits are given."""

    total_stride = 2

    def __init__(self, full: Tensor, half: Tensor) -> None:
        super().__init__()
        self.full, self.half = full, half

    def supervise(self, image: Tensor) -> list[tuple[float, Tensor]]:
        return [(2 / 3, self.full), (1 / 3, self.half)]

    def forward(self, image: Tensor) -> Tensor:
        return self.full


def test_deep_supervision_weighs_the_losses_of_all_sizes(batch: Batch) -> None:
    """The half-size truth is that of each second pixel, as the nearest to the middle of four is."""
    full, half = torch.randn(4, 1, 32, 32), torch.randn(4, 1, 16, 16)
    loss, band = RegionLoss(kervadec=0.5), BandWeight(3, 2)
    segmenter = DirectSegmenter(TwoSizes(full, half), loss, band)
    weight = 1 + 3 * torch.exp(-batch.distance.square() / 8)
    small = (slice(None), slice(None), slice(1, None, 2), slice(1, None, 2))
    expected = 2 / 3 * loss(full, batch.mask, batch.distance, weight)
    expected += 1 / 3 * loss(half, batch.mask[small], batch.distance[small] / 2, weight[small])
    torch.testing.assert_close(segmenter.loss(batch), expected)
    found = segmenter.segment(batch.image, SamplingConfig()).probability
    assert torch.equal(found, torch.sigmoid(full))


def test_deep_supervision_without_a_boundary_weight(batch: Batch) -> None:
    half = torch.randn(4, 1, 16, 16)
    segmenter = DirectSegmenter(TwoSizes(torch.randn(4, 1, 32, 32), half), RegionLoss(), uniform_weight)
    ones = torch.ones(1, 1, 1, 1)
    mask, distance, weight = truth_at(half, batch.mask, batch.distance, ones)
    assert mask.unique().tolist() == [-1, 1]
    assert distance.shape == mask.shape == half.shape
    assert weight.unique().tolist() == [1]
    assert segmenter.loss(batch).isfinite()


def test_mirror_images_are_averaged_as_an_explicit_loop_does(trained: Make, batch: Batch) -> None:
    segmenter = trained(model=UNET)
    found = segmenter.segment(batch.image, SamplingConfig(mirror=True))
    expected = torch.zeros(4, 1, 32, 32)
    for row in range(4):
        for down in (False, True):
            for across in (False, True):
                image = batch.image[row].numpy()
                image = image[:, :: -1 if down else 1, :: -1 if across else 1].copy()
                with torch.no_grad():
                    logit = segmenter.network(torch.from_numpy(image)[None])[0]
                turned = torch.sigmoid(logit).numpy()[:, :: -1 if down else 1, :: -1 if across else 1]
                expected[row] += torch.from_numpy(turned.copy()) / 4
    torch.testing.assert_close(found.probability, expected, rtol=0, atol=1e-6)
    assert not found.spread.any()
    plain = segmenter.segment(batch.image, SamplingConfig()).probability
    assert float((found.probability - plain).abs().max()) > 1e-3


def test_a_mirrored_image_gets_the_mirrored_map(trained: Make, batch: Batch) -> None:
    segmenter, sampling = trained(model=UNET), SamplingConfig(mirror=True)
    found = segmenter.segment(batch.image, sampling).probability
    for axes in ((2,), (3,), (2, 3)):
        turned = segmenter.segment(batch.image.flip(axes), sampling).probability
        torch.testing.assert_close(turned.flip(axes), found, rtol=0, atol=1e-6)


def test_mirror_images_run_on_graphs_too(trained: Make, batch: Batch) -> None:
    segmenter, sampling = trained(model=UNET), SamplingConfig(mirror=True)
    expected = segmenter.segment(batch.image, sampling).probability
    segmenter.run_on({name: part.module for name, part in segmenter.parts(batch.image).items()})
    assert torch.equal(segmenter.segment(batch.image, sampling).probability, expected)
