"""Evaluated cases as files and tables: `cases.csv`, `summary.json`, rows for a terminal or for Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.evaluation.rows import EvaluatedCase, column_names, row_values
from mlffm_segdiff.files.atomic import sweep_unfinished, write_text
from mlffm_segdiff.files.csv_text import csv_table
from mlffm_segdiff.metrics.overlap import JACCARD_THRESHOLD
from mlffm_segdiff.metrics.summary import Summary, summarise
from mlffm_segdiff.metrics.surface import TOLERANCE

CASES_FILE = "cases.csv"
SUMMARY_FILE = "summary.json"
DISTANCES = ("hd95", "hd95_percent", "assd", "assd_percent")
SCORE_LABELS = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
    "dice": "Dice",
    "jaccard": "Jaccard",
    "thresholded_jaccard": f"Jaccard, 0 below {JACCARD_THRESHOLD}",
    "hd95": "HD95 (px)",
    "hd95_percent": "HD95 (% of diagonal)",
    "assd": "ASSD (px)",
    "assd_percent": "ASSD (% of diagonal)",
    "boundary_dice": f"boundary Dice (within {100 * TOLERANCE:g} % of diagonal)",
}
"""Names of scores in tables, with their unit or tolerance."""
CONTOUR_SCORES = (*DISTANCES, "boundary_dice")

SUMMARY_HEADER = ("score", "per-image mean", "95 % interval", "pooled")
HEADLINE_HEADER = (
    "result",
    "cases",
    "Jaccard, pooled",
    "Dice, pooled",
    "Jaccard, per image",
    "Dice, per image",
    "thresholded Jaccard",
    *(SCORE_LABELS[name] for name in CONTOUR_SCORES),
)


def summaries(cases: Sequence[EvaluatedCase], seed: int = 0) -> dict[str, Summary]:
    """Summarise the cases by resolution: "source", and "network" if every case has it.

    Raises:
        UserError: `cases` is empty.
    """
    if not cases:
        raise UserError("no case to evaluate; check the split and the folders given")
    network = [case.network for case in cases if case.network is not None]
    found = {"source": summarise([case.source for case in cases], seed)}
    return found | ({"network": summarise(network, seed)} if len(network) == len(cases) else {})


def cases_csv(cases: Sequence[EvaluatedCase]) -> str:
    """Return the table of cases as CSV text: a header, then one row per case in the order given."""
    columns = column_names(any(case.network is not None for case in cases))
    rows = map(row_values, cases)
    return csv_table(columns, ([row.get(name) for name in columns] for row in rows))


def summary_json(found: Mapping[str, Summary], facts: Mapping[str, object]) -> str:
    """Return the summaries by resolution as JSON text; an interval of one case has null ends.

    Args:
        found: Summaries by resolution.
        facts: Facts about the evaluation, as plain values: path of the model, digest of the split, missing
            ids.
    """
    content = {**facts, **{name: asdict(summary) for name, summary in found.items()}}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_report(
    folder: Path, cases: Sequence[EvaluatedCase], facts: Mapping[str, object], seed: int = 0
) -> dict[str, Summary]:
    """Write summary.json and cases.csv, each atomically.

    Args:
        folder: Folder to write to.
        cases: Scores of each case, at least one.
        facts: Facts about the evaluation, see `summary_json`.
        seed: Seed of the bootstrap intervals.

    Returns:
        Summaries by resolution.

    Raises:
        UserError: `cases` is empty, or the folder cannot be written.
    """
    sweep_unfinished(folder)
    found = summaries(cases, seed)
    for name, text in ((SUMMARY_FILE, summary_json(found, facts)), (CASES_FILE, cases_csv(cases))):
        write_text(folder / name, text)
    return found


def decimals(score: str) -> int:
    """Return how many decimals tables show of a score: 2 of distances, 4 of others."""
    return 2 if score in DISTANCES else 4


def summary_rows(summary: Summary) -> list[tuple[str, ...]]:
    """Return one row of text per score, for SUMMARY_HEADER."""
    return [
        (
            SCORE_LABELS[name],
            f"{interval.mean:.{decimals(name)}f}",
            interval.ends(decimals(name)),
            f"{summary.pooled[name]:.4f}" if name in summary.pooled else "",
        )
        for name, interval in summary.per_image.items()
    ]


def headline_row(name: str, summary: Summary) -> tuple[str, ...]:
    """Return one row of text for HEADLINE_HEADER; Jaccard and Dice with their intervals."""
    image = summary.per_image
    return (
        name,
        str(summary.cases),
        f"{summary.pooled['jaccard']:.4f}",
        f"{summary.pooled['dice']:.4f}",
        *(f"{image[score].mean:.4f} ({image[score].ends()})" for score in ("jaccard", "dice")),
        *(f"{image[score].mean:.{decimals(score)}f}" for score in ("thresholded_jaccard", *CONTOUR_SCORES)),
    )


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with text columns aligned left and the others right.

    Args:
        header: Cells of the header.
        rows: Cells of each row, as many as in the header.
    """
    rule = [":--" if words else "--:" for words in columns_of_words(header, rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, rule, *rows))


def columns_of_words(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[bool]:
    """Return for each column whether it is text: the first one, or where a cell starts with a letter."""
    return [n == 0 or any(row[n][:1].isalpha() for row in rows) for n in range(len(header))]
