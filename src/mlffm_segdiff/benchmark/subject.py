"""The weights under test, as `predict` runs them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlffm_segdiff.benchmark.timing import Clock, device_clock
from mlffm_segdiff.build.pretrained import load_pretrained
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.cache import CachedPairs
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.inference.model import Model, load_model
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.precision import Precision

STEPS, SAMPLES, BATCH = 4, 5, 16
FEW = 3


@dataclass(frozen=True)
class Validation:
    """Cases to measure accuracy on, and their pairs at the network's size."""

    pairs: CachedPairs
    cases: list[Case]


@dataclass(frozen=True)
class Subject:
    """What is measured and how often.

    weights: their name. model: samples by STEPS steps of DDIM, 1 sample. segmenter: the model's. clock: waits
    for the model's device. repeats: turns of each contestant; those that take minutes have at most FEW.
    images: files for `predict`.
    """

    weights: str
    recipe: Recipe
    model: Model
    segmenter: DiffusionSegmenter
    precision: Precision
    clock: Clock
    repeats: int
    images: int
    validation: Validation | None = None

    @property
    def few_repeats(self) -> int:
        """Turns of contestants that take minutes."""
        return min(self.repeats, FEW)

    @property
    def dtype(self) -> torch.dtype:
        """The number format that networks compute in."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def random_images(self, count: int) -> Tensor:
        """Return images of the network's size, B3HW in [-1, 1]: what they show does not change the time."""
        generator = torch.Generator().manual_seed(0)
        size = self.model.size
        return torch.rand(count, 3, size, size, generator=generator).mul(2).sub(1).to(self.model.device)


def load_subject(
    weights: str, precision: Precision, repeats: int, images: int, validation: Validation | None = None
) -> Subject:
    """Return the weights of that name on the GPU, where there is one, else on the processor.

    Raises UserError as `load_model`, and for weights of a network that does not sample.
    """
    pretrained = load_pretrained(weights)
    model = load_model(pretrained, precision, steps=STEPS, samples=1, sampler="ddim")
    if not isinstance(model.segmenter, DiffusionSegmenter):
        raise UserError(f"{weights} are weights of a network that takes no denoising steps; give others")
    return Subject(
        weights,
        pretrained.recipe,
        model,
        model.segmenter,
        precision,
        device_clock(model.device),
        repeats,
        images,
        validation,
    )
