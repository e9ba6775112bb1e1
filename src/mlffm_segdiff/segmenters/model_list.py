"""The models of this package with their cost, read from a file instead of building each network."""

import json
from dataclasses import dataclass
from importlib.resources import files

MODEL_COSTS = files("mlffm_segdiff.segmenters") / "model_costs.json"
"""Written by tools/count_models.py."""


@dataclass(frozen=True)
class ModelCost:
    """Size and cost of one model.

    Attributes:
        parameters: The number of parameters.
        flops: Floating-point operations of one segmentation at 128 x 128. Only products and sums within
            convolutions and matrix products are counted, each as one.
        steps: Denoising steps of each sample; 1 for direct networks and the posterior mean.
        samples: Samples, or 1 if none are drawn, times mirror images.
    """

    parameters: int
    flops: int
    steps: int
    samples: int


@dataclass(frozen=True)
class ListedModel:
    """A model with its cost and its source, a publication."""

    cost: ModelCost
    source: str


def packaged_models() -> dict[str, ListedModel]:
    """Return the models of this package by name, in alphabetical order."""
    rows = json.loads(MODEL_COSTS.read_text(encoding="utf-8"))
    return {name: ListedModel(ModelCost(**row["cost"]), row["source"]) for name, row in rows.items()}
