"""One evaluated case as a row of numbers, from which all tables and figures are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from mlffm_segdiff.files.atomic import write_text
from mlffm_segdiff.files.csv_text import csv_table
from mlffm_segdiff.metrics.case_scores import SCORE_NAMES, CaseScores

DECIMALS = 6
NETWORK_PREFIX = "network_"


@dataclass(frozen=True)
class EvaluatedCase:
    """Scores of one case; distances are in pixels of the size in question.

    Attributes:
        id: Case id.
        source: Scores at the size of the ground truth.
        network: Scores at the network's size; None for masks without a model.
    """

    id: str
    source: CaseScores
    network: CaseScores | None = None


def column_names(with_network: bool) -> list[str]:
    """Return the columns of the table of cases: id, the source scores, then the same with `network_`."""
    scores = [field.name for field in fields(CaseScores)]
    network = [NETWORK_PREFIX + name for name in scores] if with_network else []
    return ["id", *scores, *network]


def write_rows(kind: type, rows: Iterable[Any], path: Path) -> None:
    """Write a table of dataclasses as CSV, with numbers to six decimals, atomically.

    Args:
        kind: The dataclass, whose fields are the columns.
        rows: Instances of `kind`, one per line.
        path: CSV file to write.

    Raises:
        UserError: It cannot be written.
    """
    values = (
        [round(value, DECIMALS) if isinstance(value, float) else value for value in astuple(row)]
        for row in rows
    )
    write_text(path, csv_table([field.name for field in fields(kind)], values))


def row_values(case: EvaluatedCase) -> dict[str, str | float | int]:
    """Return the values of a case by column; scores to six decimals."""
    network = _rounded(case.network, NETWORK_PREFIX) if case.network else {}
    return {"id": case.id, **_rounded(case.source), **network}


def _rounded(scores: CaseScores, prefix: str = "") -> dict[str, float | int]:
    return {
        prefix + name: round(value, DECIMALS) if name in SCORE_NAMES else value
        for name, value in asdict(scores).items()
    }
