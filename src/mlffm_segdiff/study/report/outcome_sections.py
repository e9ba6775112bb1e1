"""The sections that say what came out: what was run, scores, comparisons, rankings, the leak."""

from __future__ import annotations

from collections.abc import Sequence

from mlffm_segdiff.metrics.overlap import JACCARD_THRESHOLD
from mlffm_segdiff.study.report.comparison_tables import (
    HOW,
    LOWER_IS_BETTER,
    Comparison,
    against_baseline,
    against_first_evaluation,
    comparison_table,
)
from mlffm_segdiff.study.report.draft import Draft
from mlffm_segdiff.study.report.figures.forest import forest_figure
from mlffm_segdiff.study.report.figures.ranks import rank_figure
from mlffm_segdiff.study.report.leak import leak_table
from mlffm_segdiff.study.report.page import Block, Heading, Paragraph, Points
from mlffm_segdiff.study.report.ranking_tables import (
    friedman_table,
    nemenyi_table,
    rank_table,
    rankings,
)
from mlffm_segdiff.study.report.score_tables import READING, WHERE, run_table, score_table
from mlffm_segdiff.study.report.study import Studied
from mlffm_segdiff.study.report.table import Table
from mlffm_segdiff.study.report.words import counted, ends, p_value, signed, verdict
from mlffm_segdiff.study.scores import RESOLUTIONS

MAIN = ("jaccard", "source")
OTHERS = (
    ("dice", "source"),
    ("thresholded_jaccard", "source"),
    ("boundary_dice", "source"),
    ("hd95_percent", "source"),
    ("jaccard", "network"),
)
SCORE_NAMES = {
    "jaccard": "Jaccard",
    "dice": "Dice",
    "thresholded_jaccard": f"Jaccard, 0 below {JACCARD_THRESHOLD}",
    "boundary_dice": "boundary Dice",
    "hd95_percent": "HD95 in percent of the image's diagonal, where less is better",
}


def state_section(study: Studied, draft: Draft) -> list[Block]:
    """Say what is missing, and what was run."""
    missing = [one for one in study.cells if not one.finished]
    blocks: list[Block] = []
    if missing:
        blocks += [
            Heading("Not finished"),
            Paragraph(
                f"{len(missing)} of {len(study.cells)} trainings are missing, so all that follows is of "
                "the others."
            ),
            Points([f"{one.cell}: {'failed' if one.failed else 'not finished'}" for one in missing]),
        ]
    return [*blocks, Heading("What was run"), draft.table(run_table(study))]


def verdict_section(study: Studied) -> list[Block]:
    """Say in words how each variant compares with the baseline, by Jaccard at source size."""
    found = against_baseline(study, *MAIN)
    if not found:
        return []
    return [
        Heading("In words"),
        Paragraph(f"Jaccard per image at source size, against {_others(study)}:"),
        Points([_sentence(one, study.baseline) for one in found]),
    ]


def score_section(study: Studied, draft: Draft) -> list[Block]:
    """Show each variant's scores at both sizes."""
    sizes = [name for name in RESOLUTIONS if len(study.main_rows(name))]
    tables = [draft.table(score_table(study, name)) for name in sizes]
    return [Heading("Scores"), Paragraph(READING), *tables]


def baseline_section(study: Studied, draft: Draft) -> list[Block]:
    """Compare every variant with the baseline: the main score with its forest plot, then the others."""
    found = against_baseline(study, *MAIN)
    if not found:
        return [
            Heading("Against the baseline"),
            Paragraph("No variant shares a finished seed with the baseline."),
        ]
    blocks: list[Block] = [
        Heading("Against the baseline"),
        Paragraph(HOW),
        draft.table(_baseline_table(study, found, *MAIN)),
        _forest(study, draft, found),
        Heading("By other scores", 3),
    ]
    for score, resolution in OTHERS:
        others = against_baseline(study, score, resolution)
        if others:
            blocks.append(draft.table(_baseline_table(study, others, score, resolution)))
    return blocks


def sampling_section(study: Studied, draft: Draft) -> list[Block]:
    """Compare the ways to draw masks from the baseline's weights."""
    found = against_first_evaluation(study, *MAIN)
    if not found:
        return []
    caption = (
        f"How masks are drawn: the evaluations of {study.baseline!r} against {study.evaluations[0]!r}, the "
        f"same weights. Difference in Jaccard per image {WHERE['source']}."
    )
    table = comparison_table(found, "evaluations", caption, "jaccard", "evaluation")
    return [Heading("How masks are drawn"), draft.table(table)]


def ranking_section(study: Studied, draft: Draft) -> list[Block]:
    """Rank all models on each data set: Friedman, Nemenyi, and a critical-difference diagram each."""
    found = rankings(study, *MAIN)
    if not found:
        return [
            Heading("All models"),
            Paragraph("No data set has three models that share a finished seed, as a ranking needs."),
        ]
    pictures = [
        draft.picture(
            f"ranks_{dataset}",
            rank_figure(one),
            f"Critical-difference diagram on {dataset}, {one.images} images: mean ranks of Jaccard per "
            "image at source size, 1 is best. A bar joins models that Nemenyi's test does not tell apart "
            "at level 0.05.",
        )
        for dataset, one in found.items()
    ]
    tables = [draft.table(make(study, found)) for make in (friedman_table, rank_table, nemenyi_table)]
    return [Heading("All models"), *tables, *pictures]


def leak_section(study: Studied, draft: Draft) -> list[Block]:
    """Show how much a leaking split flatters, where the study has one source under two splits."""
    table = leak_table(study)
    return [Heading("One source, two splits"), draft.table(table)] if table else []


def _baseline_table(study: Studied, found: Sequence[Comparison], score: str, resolution: str) -> Table:
    caption = (
        f"Each {study.noun} against {_others(study)}: difference in {SCORE_NAMES[score]}, per image, "
        f"{WHERE[resolution]}."
    )
    return comparison_table(found, f"baseline_{score}_{resolution}", caption, score, study.noun)


def _forest(study: Studied, draft: Draft, found: Sequence[Comparison]) -> Block:
    caption = (
        f"Differences in Jaccard per image, source size, from {_others(study)}, paired by image, with 95 % "
        "BCa intervals over images; right of 0 is better."
    )
    return draft.picture("forest", forest_figure(found, "Jaccard"), caption)


def _others(study: Studied) -> str:
    return f"{study.baseline!r}" + (" or what is named" if study.lock.against else "")


def _sentence(one: Comparison, baseline: str) -> str:
    compared = one.label if one.other == baseline else f"{one.label} against {one.other!r}"
    difference = one.result.difference
    interval = "" if difference.low is None else f", {ends(difference, '+')}"
    words = verdict(one.result, one.corrected, one.by_seed, MAIN[0] not in LOWER_IS_BETTER)
    size = f"{counted(one.result.images, 'image')}, {counted(len(one.by_seed), 'seed')}"
    return (
        f"{compared} on {one.dataset}: {words} ({signed(difference.mean)}{interval}; "
        f"p {_equals(p_value(one.corrected))} after Holm; {size})."
    )


def _equals(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"
