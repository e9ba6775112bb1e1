"""A model, a loss and a data set of your own, which the entry points in pyproject.toml register."""

from pathlib import Path

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from mlffm_segdiff.data import Pairing, find_entries
from mlffm_segdiff.models import ModelConfig


class ThreeConvolutionsConfig(ModelConfig):
    """The keys of ``model: {name: three_convolutions}`` in a recipe, with their ranges and defaults."""

    citation = "an example"

    width: PositiveInt = 16

    def build(self, mask_channels: int) -> nn.Module:
        """Build the network with fresh weights."""
        return ThreeConvolutions(self.width)


class ThreeConvolutions(nn.Sequential):
    """Map an image (B3HW in [-1, 1]) to a logit (B1HW)."""

    total_stride = 1  # height and width may be any multiple of this

    def __init__(self, width: int) -> None:
        first, second = nn.Conv2d(3, width, 5, padding=2), nn.Conv2d(width, width, 5, padding=2)
        super().__init__(first, nn.ReLU(), second, nn.ReLU(), nn.Conv2d(width, 1, 1))


def tversky(logit: Tensor, mask: Tensor, distance: Tensor, weight: Tensor, alpha: float = 0.3) -> Tensor:
    """Tversky loss (Salehi et al. 2017, arXiv:1706.05721): false positives count alpha, misses 1 - alpha."""
    found, lesion = torch.sigmoid(logit), (mask > 0).float()
    hits, false = (found * lesion).sum(), (found * (1 - lesion)).sum()
    misses = ((1 - found) * lesion).sum()
    return 1 - (hits + 1) / (hits + alpha * false + (1 - alpha) * misses + 1)


def find_side_by_side(path: Path) -> Pairing:
    """Pair NAME.png with NAME_lesion.png in one folder."""
    entries = {Path(entry.name).stem: entry for entry in find_entries(path) if entry.name.endswith(".png")}
    masks = {key.removesuffix("_lesion"): e for key, e in entries.items() if key.endswith("_lesion")}
    return Pairing({key: e for key, e in entries.items() if not key.endswith("_lesion")}, masks)
