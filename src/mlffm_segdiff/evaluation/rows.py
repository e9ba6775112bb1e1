"""One evaluated case as a row of numbers, the unit that every table and figure is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from mlffm_segdiff.metrics.case_scores import SCORE_NAMES, CaseScores

DECIMALS = 6
NETWORK_PREFIX = "network_"


@dataclass(frozen=True)
class EvaluatedCase:
    """Scores of one case at the true mask's own size, and at the network's size where a model was run.

    Distances in pixels count pixels of that size.
    """

    id: str
    source: CaseScores
    network: CaseScores | None = None


def column_names(with_network: bool) -> list[str]:
    """Return the columns of the case table: id, the source scores, then `network_` and the same names."""
    scores = [field.name for field in fields(CaseScores)]
    network = [NETWORK_PREFIX + name for name in scores] if with_network else []
    return ["id", *scores, *network]


def row_values(case: EvaluatedCase) -> dict[str, str | float | int]:
    """Return a case's values by column; scores to six decimals."""
    network = _rounded(case.network, NETWORK_PREFIX) if case.network else {}
    return {"id": case.id, **_rounded(case.source), **network}


def _rounded(scores: CaseScores, prefix: str = "") -> dict[str, float | int]:
    return {
        prefix + name: round(value, DECIMALS) if name in SCORE_NAMES else value
        for name, value in asdict(scores).items()
    }
