"""Folders of masks from several methods, scored on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.progress import Progress
from mlffm_segdiff.config.schema import MissingMasks
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.files import decode_mask
from mlffm_segdiff.evaluation.folders import first_ids, masks_by_id, match_masks
from mlffm_segdiff.evaluation.rows import EvaluatedCase, row_values
from mlffm_segdiff.inference.masks import nearest_mask
from mlffm_segdiff.metrics.case_scores import score_case
from mlffm_segdiff.metrics.overlap import Mask
from mlffm_segdiff.study.score_frame import COLUMNS


@dataclass(frozen=True)
class MaskRun:
    """The masks of one run of a method, such as one training seed.

    Attributes:
        method: Name of the method.
        number: Number of the run, from 0.
        folder: The folder with the masks.
        masks: Mask files by id of the ground truth.
        missing: Ids of ground truth without a mask.
        extra: Ids of masks without ground truth.
    """

    method: str
    number: int
    folder: Path
    masks: Mapping[str, Entry]
    missing: tuple[str, ...]
    extra: tuple[str, ...]


@dataclass(frozen=True)
class MaskRuns:
    """The runs of all methods, and the images that they are compared on.

    Attributes:
        runs: The runs, by method in the order given.
        truths: Ground truth by id, sorted, of the images that are scored.
        left_out: Ids that are not scored because a run has no mask.
    """

    runs: Sequence[MaskRun]
    truths: Mapping[str, Entry]
    left_out: tuple[str, ...]


def find_runs(masks: Mapping[str, Sequence[Path]], truth: Path, missing: MissingMasks) -> MaskRuns:
    """Match the masks of each folder with the ground truth by name, as `match_masks` does.

    Args:
        masks: Folders of masks by method, one per run.
        truth: Folder of the ground truth.
        missing: ``error`` refuses images without a mask; ``empty`` scores them as empty masks; ``skip``
            leaves them out for every method.

    Raises:
        UserError: A folder cannot be read, has two masks of a case or none of the ground truth, is given
            twice or is the ground truth, or lacks a mask.
    """
    truths = masks_by_id(truth)
    folders = [expanded(folder).resolve() for several in masks.values() for folder in several]
    if twice := [folder for folder in folders if folders.count(folder) > 1]:
        raise UserError(f"{twice[0]} is given twice; each run needs a folder of its own")
    if truth.resolve() in folders:
        raise UserError(f"{truth} is the ground truth and cannot be a method, too; give the method's masks")
    runs = [
        _find_run(method, number, folder, truths)
        for method, several in masks.items()
        for number, folder in enumerate(several)
    ]
    lacking = [run for run in runs if run.missing]
    if lacking and missing == "error":
        run = lacking[0]
        others = f" (and {len(lacking) - 1} more folders lack masks)" if len(lacking) > 1 else ""
        raise UserError(
            f"{run.method!r} has no mask in {run.folder} for {len(run.missing)} of {len(truths)} images: "
            f"{first_ids(run.missing)}{others}; add them, or choose --missing empty (scored as empty masks) "
            "or --missing skip (left out for every method)"
        )
    left_out = {key for run in lacking for key in run.missing} if missing == "skip" else set()
    scored = {key: truths[key] for key in sorted(truths.keys() - left_out)}
    if not scored:
        raise UserError("no image has a mask of every method; give folders of masks of the same images")
    return MaskRuns(runs, scored, tuple(sorted(left_out)))


def score_runs(found: MaskRuns, dataset: str, progress: Progress) -> pd.DataFrame:
    """Score every run on every image.

    A mask of another size than its ground truth is resized to it by nearest neighbour. A missing mask is
    scored as an empty one.

    Args:
        found: The runs and the ground truth.
        dataset: Name of the data set in the table.
        progress: Called with the number of images done, and of all.

    Returns:
        `COLUMNS`, and ``note``: "missing", "resized", or empty.

    Raises:
        UserError: A file cannot be read as a mask.
    """
    rows: list[dict[str, Any]] = []
    for done, (key, entry) in enumerate(found.truths.items(), start=1):
        truth = decode_mask(entry.read(), str(entry))
        for run in found.runs:
            predicted, note = load_prediction(run, key, truth)
            scores = row_values(EvaluatedCase(key, score_case(predicted, truth)))
            rows.append(
                {"variant": run.method, "dataset": dataset, "seed": run.number, "evaluation": "masks"}
                | {"resolution": "source", "note": note, **scores}
            )
        progress(done, len(found.truths))
    return pd.DataFrame(rows, columns=[*COLUMNS, "note"])


def load_prediction(run: MaskRun, key: str, truth: Mask) -> tuple[Mask, str]:
    """Return a run's mask of an image at the size of the ground truth, and the note of `score_runs`."""
    if key not in run.masks:
        return np.zeros_like(truth), "missing"
    entry = run.masks[key]
    predicted = decode_mask(entry.read(), str(entry), probability=True)
    if predicted.shape == truth.shape:
        return predicted, ""
    return nearest_mask(predicted, *truth.shape), "resized"


def _find_run(method: str, number: int, folder: Path, truths: Mapping[str, Entry]) -> MaskRun:
    matched = match_masks(masks_by_id(folder, truths), truths)
    masks = {pair.id: pair.predicted for pair in matched.pairs}
    return MaskRun(method, number, folder, masks, matched.missing, matched.extra)
