"""What a report needs beyond scores: the study's images, its weights and masks, each where it is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.cache import CachedPairs
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.skin_tone import typology_angle
from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.evaluation.figures import OutlinedCase
from mlffm_segdiff.evaluation.model import outline_case, segment_cases
from mlffm_segdiff.segmenters.base import Sampling, Segmenter
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.study.cells import Cell, evaluation_sampling
from mlffm_segdiff.study.scores import StudiedCell


@dataclass(frozen=True)
class PartImages:
    """The cases of the part that was scored, and their pairs at the network's size in the same order."""

    cases: list[Case]
    pairs: CachedPairs

    def select(self, ids: Sequence[str]) -> PartImages:
        """Return the cases of the ids, in that order. Raises UserError where one is absent."""
        place = {name: number for number, name in enumerate(self.pairs.ids)}
        absent = [name for name in ids if name not in place]
        if absent:
            raise UserError(f"{absent[0]} was scored, but is not in the data any more; bring the data back")
        rows = [place[name] for name in ids]
        pairs = CachedPairs(tuple(ids), self.pairs.images[rows], self.pairs.masks[rows])
        return PartImages([self.cases[row] for row in rows], pairs)


def open_images(cell: Cell, part: str) -> PartImages:
    """Return the images that a cell was scored on.

    Raises UserError where the data are not at hand, or their split is another one by now.
    """
    data = cell.recipe.data
    parts = load_split_cases(data)
    if parts.digest != cell.split:
        raise UserError(
            f"the split of {cell.dataset} is {parts.digest} now, and was {cell.split}; bring it back"
        )
    return PartImages(list(parts.cases[part]), open_split(parts, part, data.size))


def skin_angles(images: PartImages) -> pd.Series:
    """Return the typology angle of the skin in degrees by id; NaN where little of it is seen."""
    pairs = images.pairs
    angles = [
        typology_angle(np.asarray(image), np.asarray(mask) > 0)
        for image, mask in zip(pairs.images, pairs.masks, strict=True)
    ]
    return pd.Series(angles, index=list(pairs.ids))


def load_cell(one: StudiedCell, overrides: Sequence[str]) -> tuple[Segmenter, Sampling]:
    """Return a cell's weights and how an evaluation with these sampling overrides draws masks.

    Raises UserError where there are no weights.
    """
    pretrained = load_pretrained(one.folder.run.path)
    return pretrained.segmenter.eval(), evaluation_sampling(one.cell.recipe, overrides)


def outline(one: StudiedCell, overrides: Sequence[str], images: PartImages) -> list[OutlinedCase]:
    """Segment the images anew with a cell's weights, on the processor, and return the contours.

    Raises UserError where there are no weights.
    """
    segmenter, sampling = load_cell(one, overrides)
    device = next(segmenter.parameters()).device
    found = segment_cases(segmenter, images.pairs, images.cases, sampling, len(images.cases), device)
    return [outline_case(case) for case in found]
