"""The sections about outcomes: what was run, scores, comparisons, rankings, splits."""

from __future__ import annotations

from collections.abc import Sequence

from mlffm_segdiff.evaluation.report import DISTANCES, SCORE_LABELS
from mlffm_segdiff.study.differences import MIN_PAIRS
from mlffm_segdiff.study.report.comparisons import (
    METHOD,
    Comparison,
    against_baseline,
    against_first_evaluation,
    comparison_table,
    small_datasets,
)
from mlffm_segdiff.study.report.document import Document
from mlffm_segdiff.study.report.figures.forest import forest_figure
from mlffm_segdiff.study.report.figures.ranks import rank_figure
from mlffm_segdiff.study.report.ranking_tables import ranking_tables, rankings
from mlffm_segdiff.study.report.score_tables import READING, WHERE, run_table, score_table
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.report.split_comparison import split_table
from mlffm_segdiff.study.report.study_results import StudyResults
from mlffm_segdiff.study.report.wording import counted, p_value, signed
from mlffm_segdiff.study.score_frame import RESOLUTIONS, CellResult

MAIN = ("jaccard", "source")
OTHERS = (
    ("dice", "source"),
    ("thresholded_jaccard", "source"),
    ("boundary_dice", "source"),
    ("hd95_percent", "source"),
    ("assd_percent", "source"),
    ("jaccard", "network"),
)


def add_state(study: StudyResults, document: Document) -> None:
    """Add the missing cells and the finished runs."""
    missing = [one for one in study.cells if not one.finished]
    if missing:
        document.heading("Not finished")
        document.text(
            f"{len(missing)} of {len(study.cells)} training runs are missing; this report has the others."
        )
        document.points(*(f"{one.cell}: {_why(one)}" for one in missing))
    document.heading("What was run")
    document.table(run_table(study))


def _why(one: CellResult) -> str:
    """Return why a cell has no scores: the last line of its error, if it failed."""
    if not one.failed:
        return "not finished"
    lines = one.folder.failed.read_text(encoding="utf-8").strip().splitlines()
    return f"failed ({lines[-1]})" if lines else "failed"


def main_comparisons(study: ScoredVariants) -> list[Comparison]:
    """Compare with the baseline by Jaccard at source size."""
    return against_baseline(study, *MAIN)


def add_verdicts(study: ScoredVariants, compared: Sequence[Comparison], document: Document) -> None:
    """Add one sentence for each of the `main_comparisons`."""
    if compared:
        document.heading("In words")
        document.text("Jaccard per image at source size:")
        document.points(*(sentence(one, study) for one in compared))


def add_scores(study: ScoredVariants, document: Document) -> None:
    """Add each variant's scores at both resolutions."""
    document.heading("Scores")
    document.text(READING)
    for resolution in RESOLUTIONS:
        if len(study.main_rows(resolution)):
            document.table(score_table(study, resolution))


def add_baseline_comparisons(
    study: ScoredVariants, compared: Sequence[Comparison], document: Document
) -> None:
    """Add the `main_comparisons` with a forest plot, then those by other scores."""
    if len(study.variants) < 2:
        return
    document.heading("Against the baseline")
    small = small_datasets(study)
    if small:
        document.text(
            f"Tests are left out for {', '.join(small)}: with fewer than {MIN_PAIRS} images, Wilcoxon's "
            "two-sided p is above 0.05 whatever the scores."
        )
    elif not compared:
        document.text(f"No {study.noun} shares a finished seed with the baseline.")
    if not compared:
        return
    document.text(METHOD)
    _add_comparison(study, document, compared, *MAIN)
    caption = (
        f"Differences in Jaccard per image, source size, from {_baseline(study)}, paired by image, with 95 % "
        "BCa intervals over images; right of 0 is better."
    )
    document.figure("forest", forest_figure(compared, "Jaccard"), caption)
    document.heading("By other scores", 3)
    for score, resolution in OTHERS:
        others = against_baseline(study, score, resolution)
        if others:
            _add_comparison(study, document, others, score, resolution)


def add_evaluations(study: ScoredVariants, document: Document) -> None:
    """Add the comparison of the baseline's evaluations, if there are several."""
    found = against_first_evaluation(study, *MAIN)
    if found:
        document.heading("How masks are drawn")
        caption = (
            f"The evaluations of {study.baseline!r} against {study.evaluations[0]!r}, the same weights. "
            f"Difference in Jaccard per image {WHERE['source']}."
        )
        document.table(comparison_table(study, found, "evaluations", caption, "jaccard", "evaluation"))


def add_ranking(study: ScoredVariants, document: Document) -> None:
    """Add the ranking of all variants on each data set: Friedman, Nemenyi, critical-difference diagram."""
    found, left_out = rankings(study, *MAIN)
    document.heading(f"All {study.noun}s")
    if left_out:
        reasons = (f"{dataset} ({reason})" for dataset, reason in left_out.items())
        document.text(f"Not ranked: {', '.join(reasons)}.")
    if not found:
        return
    for table in ranking_tables(study, found):
        document.table(table)
    for dataset, one in found.items():
        caption = (
            f"Critical-difference diagram on {dataset}, {one.images} images: mean ranks of Jaccard per image "
            f"at source size, 1 is best. A bar joins {study.noun}s that Nemenyi's test does not separate."
        )
        document.figure(f"ranks_{dataset}", rank_figure(one), caption)


def add_splits(study: StudyResults, document: Document) -> None:
    """Add the comparison of splits, if the study has one source under two splits."""
    table = split_table(study)
    if table:
        document.heading("One source, two splits")
        document.table(table)


def _add_comparison(
    study: ScoredVariants, document: Document, found: Sequence[Comparison], score: str, resolution: str
) -> None:
    caption = (
        f"Each {study.noun} against {_baseline(study)}: difference in {SCORE_LABELS[score]}, per image, "
        f"{WHERE[resolution]}{'; lower is better' if score in DISTANCES else ''}."
    )
    document.table(
        comparison_table(study, found, f"baseline_{score}_{resolution}", caption, score, study.noun)
    )


def _baseline(study: ScoredVariants) -> str:
    return f"{study.baseline!r}" + (f" or the named {study.noun}" if study.against else "")


def sentence(one: Comparison, study: ScoredVariants) -> str:
    """Return the result of one of the `main_comparisons`; the data set is named if there are several."""
    where = f" on {one.dataset}" if len(study.datasets) > 1 else ""
    interval = one.result.interval
    range_ = "" if interval.low is None else f", {interval.ends(sign='+')}"
    p = p_value(one.corrected)
    size = f"{counted(one.result.images, 'image')}, {counted(len(one.by_seed), 'run')}"
    return (
        f"{one.label} against {one.other!r}{where}: {one.verdict(MAIN[0])} ({signed(interval.mean)}{range_}; "
        f"p {p if p.startswith('<') else f'= {p}'} after Holm; {size})."
    )
