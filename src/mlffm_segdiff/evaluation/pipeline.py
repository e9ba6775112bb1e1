"""Evaluation as functions: a model on a split, or a folder of masks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from mlffm_segdiff.config.errors import UserError, partly_written
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.progress import ShowProgress, no_progress
from mlffm_segdiff.config.schema import Recipe, SamplingConfig
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.sources import SplitCases, load_split_cases, open_split
from mlffm_segdiff.data.splits import check_part, load_split
from mlffm_segdiff.evaluation import figures, quality_figures
from mlffm_segdiff.evaluation.coverage import (
    Coverage,
    CoverageCase,
    coverage_case,
    coverage_summary,
    measure_coverage,
)
from mlffm_segdiff.evaluation.coverage_figure import coverage_figure
from mlffm_segdiff.evaluation.figures import OutlinedCase, pick_cases, save_figure
from mlffm_segdiff.evaluation.folders import MaskFiles, compare_masks, load_masks, match_folders
from mlffm_segdiff.evaluation.model import ComparedCase, evaluate_case, outline_case, segment_cases
from mlffm_segdiff.evaluation.quality import JudgedCase, judge_case, quality_summary
from mlffm_segdiff.evaluation.report import CASES_FILE, SUMMARY_FILE, write_report
from mlffm_segdiff.evaluation.rows import EvaluatedCase, write_rows
from mlffm_segdiff.files.claim import claimed_results
from mlffm_segdiff.files.results_folder import listed_files, remove_results, require_outside, require_own
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.metrics.distribution import score_samples, summarise_samples
from mlffm_segdiff.metrics.summary import Summary
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.device import AUTO, find_device
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.segmenters.recipe import with_data
from mlffm_segdiff.segmenters.sampling import Overrides, chosen_sampling
from mlffm_segdiff.segmenters.saved_weights import DEFAULT, split_file

LOG = logging.getLogger(__name__)
CONTOURS_SHOWN = 6
QUALITY_TABLE = "quality.csv"
COVERAGE_TABLE = "coverage.csv"


@dataclass(frozen=True)
class EvaluatedModel:
    """The facts of an evaluation that a calibration needs."""

    recipe: Recipe
    parts: SplitCases
    part: str
    sampling: SamplingConfig
    segmenter: BaseSegmenter
    device: torch.device


@dataclass(frozen=True)
class Evaluation:
    """The scores of all cases, with facts about the evaluation.

    Attributes:
        cases: Scores, one per case.
        facts: Facts about the evaluation, for summary.json.
        outlines: Best, median and worst cases, to draw.
        judged: Certainty and Dice of each case; empty for masks without a model.
        covered: Comparison of each case with its ground truth, for the coverage of bounds; empty for masks
            without a model.
        coverage: Coverage of the bounds of the model's calibration; empty without one that applies.
        model: Evaluated model; None for masks without a model.
    """

    cases: Sequence[EvaluatedCase]
    facts: Mapping[str, Any]
    outlines: Mapping[str, Sequence[OutlinedCase]]
    judged: Sequence[JudgedCase] = field(default=())
    covered: Sequence[CoverageCase] = field(default=(), repr=False)
    coverage: Sequence[Coverage] = field(default=(), repr=False)
    model: EvaluatedModel | None = None


def evaluate(
    weights: str | Path = DEFAULT,
    *,
    sources: Mapping[str, str | Path | None] | None = None,
    split: Path | None = None,
    part: str = "test",
    sampling: Overrides | None = None,
    device: str | torch.device = AUTO,
    show: ShowProgress = no_progress,
) -> Evaluation:
    """Score a model on a part of a split; masks are scored as thresholded, without post-processing.

    Args:
        weights: ``default``, a run folder, a weights folder, or a hub id.
        sources: Folders of data sets by name, in place of the recipe's; None keeps the recipe's path.
        split: CSV with columns id and part, in place of the recipe's split.
        part: ``train``, ``val`` or ``test``.
        sampling: Overrides of the recipe's sampling, by the keys of `SamplingConfig`.
        device: Device of the network, as for `find_device`.
        show: Shows the progress of a labelled step.

    Returns:
        The scores of all cases, at the image's full size and at the network's; distances are in pixels.

    Raises:
        UserError: The device, the weights, the data or an option cannot be used, or the data of a run have
            changed, so that its part now has cases that it was trained on.
    """
    check_part(part)
    place, pretrained = find_device(device), load_pretrained(weights)
    recipe = with_data(pretrained.recipe, sources, split)
    chosen = chosen_sampling(recipe, sampling)
    parts = load_split_cases(recipe.data)
    _require_unseen(weights, parts, part, own=not sources and split is None)
    with show("reading") as progress:
        pairs = open_split(parts, part, recipe.data.size, progress)
    known = pretrained.quality
    quality = known if known and not known.mismatch(chosen) else None
    segmenter, cases = pretrained.segmenter.to(place).eval(), parts.cases[part]

    def segmented(some: Sequence[Case]) -> Iterator[ComparedCase]:
        return segment_cases(segmenter, pairs, some, chosen, recipe.train.batch_size, place, quality)

    evaluated, judged, covered, samples = [], [], [], []
    with show("segmenting") as progress:
        for compared in segmented(cases):
            evaluated.append(evaluate_case(compared))
            drawn = compared.result.samples
            judged.append(judge_case(compared.result, evaluated[-1]))
            covered.append(coverage_case(compared, evaluated[-1], parts.source[compared.case.id]))
            if drawn is not None:
                samples.append(score_samples(drawn >= THRESHOLD, compared.network_truth))
            progress(len(evaluated), len(cases))
    model = EvaluatedModel(recipe, parts, part, chosen, segmenter, place)
    facts = {"weights": str(weights), **_facts(model), "quality": quality_summary(judged)}
    # the other parts influenced the weights or the calibration
    coverage = measure_coverage(covered, quality.styles[chosen.style]) if quality and part == "test" else []
    if coverage:
        facts["coverage"] = coverage_summary(coverage)
    if samples:
        facts["samples"] = asdict(summarise_samples(samples))
    outlines = _outlined(evaluated, cases, segmented)
    return Evaluation(evaluated, facts, outlines, judged, covered, coverage, model)


def evaluate_masks(predicted: Path | str, truth: Path | str, show: ShowProgress = no_progress) -> Evaluation:
    """Score a folder of masks from any program against a folder of ground truth, matched by name.

    ``missing`` and ``extra`` of the facts are the ids on one side only.

    Args:
        predicted: Folder of the predicted masks.
        truth: Folder of the ground truth.
        show: Shows the progress of a labelled step.

    Returns:
        Scores of all pairs at the size of the ground truth; distances are in pixels.

    Raises:
        UserError: A folder or file cannot be read, or the sizes of a pair differ.
    """
    predicted, truth = expanded(predicted), expanded(truth)
    matched = match_folders(predicted, truth)
    files = {pair.id: pair for pair in matched.pairs}
    cases = []
    with show("comparing") as progress:
        for case in compare_masks(matched):
            cases.append(case)
            progress(len(cases), len(files))
    facts = {
        "masks": str(predicted),
        "truth": str(truth),
        "missing": matched.missing,
        "extra": matched.extra,
    }
    outlines = {
        name: [_outline_files(files[case.id], case.source.jaccard) for case in group]
        for name, group in pick_cases(cases, CONTOURS_SHOWN).items()
        if group
    }
    return Evaluation(cases, facts, outlines)


def write_evaluation(found: Evaluation, folder: Path | str) -> dict[str, Summary]:
    """Write cases.csv, summary.json and figures.

    Of a model also quality.csv, and, of its test cases, coverage.csv where a calibration applies.
    The files of an earlier evaluation in the folder, which its summary.json lists, are removed first.

    Args:
        found: Evaluation of a model or of masks.
        folder: Folder to write to, created if needed.

    Returns:
        Summaries by resolution: ``source``, and for a model ``network``.

    Raises:
        UserError: There are no cases, a file that is not of an earlier evaluation would be overwritten, or
            another evaluation is writing to the folder; nothing was written.
        StoppedError: A file cannot be written.
    """
    folder = expanded(folder)
    scores = [case.source.jaccard for case in found.cases]
    drawn = {
        "contours.png": figures.contour_figure(found.outlines),
        "jaccard_histogram.png": figures.histogram_figure(scores, "Jaccard at source size"),
        "jaccard_by_size.png": figures.size_figure(found.cases),
    }
    if found.judged:
        drawn["retention.png"] = quality_figures.retention_figure(found.judged)
        if all(case.expected_dice is not None for case in found.judged):
            drawn["reliability.png"] = quality_figures.reliability_figure(found.judged)
    if found.coverage:
        drawn["coverage.png"] = coverage_figure(found.coverage)
    tables = [
        name for name, rows in ((QUALITY_TABLE, found.judged), (COVERAGE_TABLE, found.coverage)) if rows
    ]
    files = [SUMMARY_FILE, CASES_FILE, *tables, *drawn]
    require_outside(folder, [Path(str(found.facts[key])) for key in ("masks", "truth") if key in found.facts])
    with claimed_results(folder):
        own = evaluated_files(folder)
        require_own(folder, files, own)
        with partly_written():
            remove_results(folder, [name for name in own if name != SUMMARY_FILE])  # it lists the files
            summaries = write_report(folder, found.cases, {**found.facts, "files": files})
            if found.judged:
                write_rows(JudgedCase, found.judged, folder / QUALITY_TABLE)
            if found.coverage:
                write_rows(Coverage, found.coverage, folder / COVERAGE_TABLE)
            for name, figure in drawn.items():
                save_figure(figure, folder / name)
    return summaries


def require_free_folder(folder: Path, inputs: Iterable[Path] = ()) -> None:
    """Raise UserError, before anything is evaluated, if `write_evaluation` could not write its files.

    Args:
        folder: Folder that they would be written to.
        inputs: Folders of masks, in which they would be masks themselves.
    """
    folder = expanded(folder)
    require_outside(folder, map(expanded, inputs))
    require_own(folder, (SUMMARY_FILE, CASES_FILE), evaluated_files(folder))


def evaluated_files(folder: Path) -> list[str]:
    """Return the files of an earlier evaluation in a folder, as its summary.json lists them."""
    return listed_files(expanded(folder) / SUMMARY_FILE)


def _outlined(
    evaluated: Sequence[EvaluatedCase],
    cases: Sequence[Case],
    segmented: Callable[[Sequence[Case]], Iterator[ComparedCase]],
) -> dict[str, list[OutlinedCase]]:
    """Segment the best, median and worst cases again, for their outlines."""
    by_id = {case.id: case for case in cases}
    return {
        name: [outline_case(one) for one in segmented([by_id[case.id] for case in group])]
        for name, group in pick_cases(evaluated, CONTOURS_SHOWN).items()
        if group
    }


def _facts(model: EvaluatedModel) -> dict[str, object]:
    return {
        "recipe": model.recipe.name,
        "sources": model.recipe.model_dump(mode="json")["data"]["sources"],
        "part": model.part,
        "split": model.parts.digest,
        "size": model.recipe.data.size,
        "sampling": model.sampling.model_dump(),
    }


def _require_unseen(weights: str | Path, parts: SplitCases, part: str, own: bool) -> None:
    """Refuse cases that a run was trained or chosen on; in a split other than its `own`, log them."""
    path = split_file(weights)
    if path is None or part == "train":
        return
    split = load_split(path)
    used = {*split.train, *(split.val if part == "test" else ())}
    cases = parts.cases[part]
    seen = [one.id for one in cases if one.id in used]
    if not seen:
        return
    where = "training or validation" if part == "test" else "training"
    problem = f"{len(seen)} of {len(cases)} cases in part {part!r}, such as {seen[0]}, have ids from {where}"
    if own:
        raise UserError(
            f"{problem}: the data or the split have changed since training; restore them, or use the run's "
            f"split by --split {path}"
        )
    LOG.warning("%s of these weights, so their scores may be too high", problem)


def _outline_files(files: MaskFiles, jaccard: float) -> OutlinedCase:
    predicted, truth = load_masks(files)
    return OutlinedCase(files.id, truth, predicted, jaccard)
