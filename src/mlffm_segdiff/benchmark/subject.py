"""The model that a benchmark measures, as ``predict`` runs it."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mlffm_segdiff.benchmark.timing import Clock
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import PrecisionChoice, Recipe
from mlffm_segdiff.inference.model import Model, load_model
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.device import AUTO, device_clock
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.precision import Precision
from mlffm_segdiff.segmenters.pretrained import load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

STEPS, SAMPLES, BATCH = 4, 5, 16
FEW = 3


@dataclass(frozen=True)
class Subject:
    """The model to measure, and how often.

    Attributes:
        weights: Name of the weights.
        recipe: Recipe of the weights.
        parameters: Number of trainable parameters.
        model: The model as `predict` runs it, giving the posterior mean in one step.
        segmenter: Segmenter of the model.
        precision: Number format that networks compute in.
        clock: Clock in seconds that waits for the model's device.
        repeats: Turns of each contestant; those that take minutes have at most FEW.
        images: Files for ``predict``.
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
        """The number format as torch's dtype."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def random_images(self, count: int) -> Tensor:
        """Return random images, B3HW in [-1, 1]; their content does not affect the time."""
        generator = torch.Generator().manual_seed(0)
        size = self.model.size
        return torch.rand(count, 3, size, size, generator=generator).mul(2).sub(1).to(self.model.device)


def load_subject(
    weights: str, precision: PrecisionChoice, repeats: int, images: int, device: str = AUTO
) -> Subject:
    """Load weights on a device.

    Args:
        weights: Weights, named as for `load_pretrained`.
        precision: Number format; "auto" is the faster one at batch 1.
        repeats: Turns of each contestant.
        images: Files for ``predict``.
        device: Device to run on, as for `find_device`.

    Raises:
        UserError: If there is no such device, the weights cannot be loaded, or their network has no denoising
            steps.
    """
    pretrained = load_pretrained(weights)
    model = load_model(pretrained, precision, device, sampling={"samples": 0})
    if not isinstance(model.segmenter, DiffusionSegmenter):
        raise UserError(f"{weights} are weights of a network without denoising steps; give other weights")
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
    """Write random weights of a recipe's network to a folder. Raises UserError if the recipe is invalid."""
    recipe = load_recipe(name)
    save_segmenter(build_segmenter(recipe), recipe, folder)


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())
