from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlffm_segdiff.config.diffusion_config import DiffusionConfig, ObjectiveName
from mlffm_segdiff.data.batch import Batch, collate
from mlffm_segdiff.data.dataset import PairDataset
from mlffm_segdiff.data.synthetic import synthetic_pairs
from mlffm_segdiff.diffusion.process import MaskDiffusion
from mlffm_segdiff.losses.boundary_weight import BoundaryWeight, uniform_weight
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.segmenters.assembly import build_objective, build_segmenter
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.recipe import check_recipe
from mlffm_segdiff.segmenters.training_draws import Single, TrainingDraws

Make = Callable[..., BaseSegmenter]


@pytest.fixture(scope="session")
def batch() -> Batch:
    """Four synthetic cases at 32 x 32."""
    ids, images, masks = synthetic_pairs(4, 32, seed=0)
    pairs = PairDataset(images, masks, ids, None, seed=0)
    return collate([pairs[index] for index in range(4)])


@pytest.fixture
def fresh() -> Make:
    """A segmenter as a recipe builds it; arguments are sections of the recipe."""

    def make(**sections: dict[str, object]) -> BaseSegmenter:
        values = {"name": "x", "data": {"sources": {"synthetic": None}, "size": 32}}
        return build_segmenter(check_recipe({**values, "model": TINY, **sections}, "here"))

    return make


TINY = {"name": "mlffm_segdiff", "size": "tiny"}


@pytest.fixture
def trained(fresh: Make) -> Make:
    """The same with weights moved from where they start, so that no part is still switched off."""

    def make(**sections: dict[str, object]) -> BaseSegmenter:
        segmenter = fresh(**sections)
        for p in segmenter.parameters():
            p.data.add_(0.05 * torch.randn_like(p))
        return segmenter.eval()

    return make


class Recorder(nn.Module):
    """A denoiser whose output is a given function of its input; it records its inputs.

    styles: of each call of ``encode``, its style numbers, or None where it got none.
    """

    total_stride = 1

    def __init__(
        self, output: Callable[[Tensor, Tensor, Tensor], Tensor], styles: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self.output = output
        self.styles = styles
        self.encoded: list[Tensor] = []
        self.style_numbers: list[Tensor | None] = []
        self.asked: list[tuple[Tensor, Tensor]] = []

    def encode(self, image: Tensor, style: Tensor | None = None) -> list[Tensor]:
        self.encoded.append(image)
        self.style_numbers.append(style)
        return [image]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        self.asked.append((noisy_mask, t))
        return self.output(noisy_mask, t, features[0])


@pytest.fixture
def around() -> Callable[..., DiffusionSegmenter]:
    """A segmenter around a network; objective x0 and single draws by default."""

    def make(
        network: nn.Module,
        process: MaskDiffusion | None = None,
        objective: ObjectiveName = "x0",
        weight: BoundaryWeight = uniform_weight,
        draws: TrainingDraws | None = None,
        mask_loss: RegionLoss | None = None,
        **settings: Any,
    ) -> DiffusionSegmenter:
        process = process or MaskDiffusion()
        section = DiffusionConfig(objective=objective, mask_scale=process.mask_scale, training="single")
        meaning = build_objective(section, mask_loss or RegionLoss())
        return DiffusionSegmenter(network, process, meaning, weight, draws or Single(), **settings)

    return make


@pytest.fixture
def recorded(around: Callable[..., DiffusionSegmenter]) -> Callable[..., tuple[DiffusionSegmenter, Recorder]]:
    """A segmenter around a ``Recorder``, without boundary weight."""

    def make(
        output: Callable[[Tensor, Tensor, Tensor], Tensor],
        process: MaskDiffusion | None = None,
        styles: tuple[str, ...] = (),
        **settings: Any,
    ) -> tuple[DiffusionSegmenter, Recorder]:
        network = Recorder(output, styles)
        return around(network, process, **settings), network

    return make
