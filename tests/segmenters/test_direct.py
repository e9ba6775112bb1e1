from collections.abc import Callable

import pytest
import torch

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.segmenters.base import Sampling, Segmenter

UNET = {"name": "unet", "widths": [4, 8, 16], "residual_units": 1}
Make = Callable[..., Segmenter]


def test_the_loss_is_the_region_loss_with_the_weight_of_a_clean_mask(trained: Make, batch: Batch) -> None:
    segmenter = trained(model=UNET, loss={"band_gain": 3, "band_width": 2})
    weight = 1 + 3 * torch.exp(-batch.distance.square() / 8)
    logit = segmenter.network(batch.image)  # type: ignore[operator]
    torch.testing.assert_close(segmenter.loss(batch), RegionLoss()(logit, batch.mask, batch.distance, weight))


def test_it_draws_nothing(trained: Make, batch: Batch) -> None:
    segmenter = trained(model=UNET)
    found = segmenter.segment(batch.image, batch.ids, Sampling())
    again = segmenter.segment(batch.image, list("wxyz"), Sampling(9, 9, 9, "ddpm"))
    assert torch.equal(found.probability, again.probability)
    assert not found.spread.any()
    torch.testing.assert_close(found.probability, torch.sigmoid(segmenter.network(batch.image)))  # type: ignore[operator]


def test_a_case_does_not_depend_on_its_batch(trained: Make, batch: Batch) -> None:
    segmenter = trained(model=UNET)
    together = segmenter.segment(batch.image, batch.ids, Sampling()).probability
    for row in range(4):
        alone = segmenter.segment(
            batch.image[row : row + 1], batch.ids[row : row + 1], Sampling()
        ).probability
        torch.testing.assert_close(alone, together[row : row + 1], rtol=0, atol=1e-5)


def test_gradients_are_finite_and_reach_every_parameter(trained: Make, batch: Batch) -> None:
    segmenter = trained(model=UNET)
    segmenter.loss(batch).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in segmenter.parameters())


@pytest.mark.parametrize(("widths", "stride"), [([4, 8], 2), ([4, 8, 16, 16], 8)])
def test_total_stride(widths: list[int], stride: int, trained: Make) -> None:
    assert trained(model={**UNET, "widths": widths}).total_stride == stride
