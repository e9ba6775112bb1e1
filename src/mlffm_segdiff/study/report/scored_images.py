"""Inputs of a report in addition to scores: images, weights and masks, if they are available."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.cache import CachedPairs
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.evaluation.figures import OutlinedCase
from mlffm_segdiff.evaluation.model import outline_case, segment_cases
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.study.cells import Cell, evaluation_sampling
from mlffm_segdiff.study.score_frame import CellResult


@dataclass(frozen=True)
class ScoredImages:
    """Scored cases, and their pairs at the network's input size in the same order."""

    cases: list[Case]
    pairs: CachedPairs

    def select(self, ids: Sequence[str]) -> ScoredImages:
        """Return the cases with these ids, in that order. Raises UserError if one is missing."""
        place = {name: number for number, name in enumerate(self.pairs.ids)}
        absent = [name for name in ids if name not in place]
        if absent:
            raise UserError(f"{absent[0]} was scored but is no longer in the data; restore the data")
        rows = [place[name] for name in ids]
        pairs = CachedPairs(
            tuple(ids), self.pairs.images[rows], self.pairs.masks[rows], self.pairs.soft[rows]
        )
        return ScoredImages([self.cases[row] for row in rows], pairs)


def open_images(cell: Cell, part: str) -> ScoredImages:
    """Return the images that a cell was scored on.

    Args:
        cell: The cell.
        part: The part of the split that was scored.

    Raises:
        UserError: If the data are not available, or have another split now.
    """
    data = cell.recipe.data
    parts = load_split_cases(data)
    if parts.digest != cell.split:
        raise UserError(
            f"the split of {cell.dataset} is {parts.digest} now, but was {cell.split}; restore it"
        )
    return ScoredImages(list(parts.cases[part]), open_split(parts, part, data.size))


def load_cell(one: CellResult, overrides: Sequence[str]) -> tuple[BaseSegmenter, SamplingConfig]:
    """Return a cell's segmenter, and how an evaluation with these overrides draws masks.

    Raises UserError if there are no weights.
    """
    pretrained = load_pretrained(one.folder.run.path, trust_code=True)
    return pretrained.segmenter.eval(), evaluation_sampling(one.cell.recipe, overrides)


def outline(one: CellResult, overrides: Sequence[str], images: ScoredImages) -> list[OutlinedCase]:
    """Segment images again with a cell's weights on the CPU, and return the contours.

    Raises UserError if there are no weights.
    """
    segmenter, sampling = load_cell(one, overrides)
    device = next(segmenter.parameters()).device
    found = segment_cases(segmenter, images.pairs, images.cases, sampling, len(images.cases), device)
    return [outline_case(case) for case in found]
