"""The weights under test, as `predict` runs them."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mlffm_segdiff.benchmark.roofline import parameter_count
from mlffm_segdiff.benchmark.timing import Clock, device_clock
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.inference.model import Model, load_model
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.precision import Precision, PrecisionChoice
from mlffm_segdiff.segmenters.pretrained import load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

STEPS, SAMPLES, BATCH = 4, 5, 16
FEW = 3


@dataclass(frozen=True)
class Subject:
    """What is measured and how often.

    weights: their name. parameters: how many the network learns. model: gives the posterior mean in one step,
    as by default. segmenter: the model's. clock: waits for the model's device. repeats: turns of each
    contestant; those that take minutes have at most FEW. images: files for `predict`.
    """

    weights: str
    recipe: Recipe
    parameters: int
    model: Model
    segmenter: DiffusionSegmenter
    precision: Precision
    clock: Clock
    repeats: int
    images: int

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


def load_subject(weights: str, precision: PrecisionChoice, repeats: int, images: int) -> Subject:
    """Return the weights of that name on the GPU, where there is one, otherwise on the processor.

    precision: auto is the faster one, measured on one image at a time.
    Raises UserError as `load_model`, and for weights of a network that does not sample.
    """
    pretrained = load_pretrained(weights)
    model = load_model(pretrained, precision, sampling={"samples": 0, "fusion": "mean"})
    if not isinstance(model.segmenter, DiffusionSegmenter):
        raise UserError(f"{weights} are weights of a network that takes no denoising steps; give others")
    return Subject(
        weights,
        pretrained.recipe,
        parameter_count(pretrained.segmenter),
        model,
        model.segmenter,
        model.precision,
        device_clock(model.device),
        repeats,
        images,
    )


def write_random_weights(name: str, folder: Path) -> None:
    """Write a recipe's network with random weights into a folder.

    Raises UserError as `load_recipe` and `build_segmenter`.
    """
    recipe = load_recipe(name)
    save_segmenter(build_segmenter(recipe), recipe, folder)
