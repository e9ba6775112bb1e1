"""Conformal prediction: limits that hold for new cases, whatever the model.

All guarantees are on average over calibration and new cases, and assume that these are exchangeable: a new
case is drawn as the calibration cases were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.stats.distributions import rv_frozen

Numbers = npt.NDArray[np.float64]


def conformal_quantile(scores: Sequence[float] | Numbers, level: float) -> float:
    """Compute the limit that the score of a new case exceeds with probability at most 1 - level.

    Split conformal prediction: Vovk et al. 2005; Lei et al. 2018, section 2.2.

    Args:
        scores: Nonconformity scores of the calibration cases; large where the prediction was wrong.
        level: Coverage, in (0, 1).

    Returns:
        The ceil((n + 1) level)-th smallest of the n scores; infinity if there are fewer scores than that.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    rank = math.ceil((len(ordered) + 1) * level - 1e-12)
    return float(ordered[rank - 1]) if rank <= len(ordered) else math.inf


def control_risk(losses: Numbers, risk: float) -> int | None:
    """Choose the smallest of nested sets whose expected loss on a new case is at most ``risk``.

    Conformal risk control: Angelopoulos et al. 2022 (arXiv:2208.02814), eq. 4, with losses of at most 1.

    Args:
        losses: Cases x sets, in [0, 1]. A case's loss must not rise from one set to the next; where it does,
            its maximum over the later sets is used (remark 2 there).
        risk: Largest expected loss of a new case, in (0, 1).

    Returns:
        The index of the set; None if no set controls the risk with this number of cases.
    """
    falling = np.maximum.accumulate(losses[:, ::-1], axis=1)[:, ::-1]
    bound = (falling.sum(axis=0) + 1) / (len(losses) + 1)
    controlled = np.flatnonzero(bound <= risk)
    return int(controlled[0]) if len(controlled) else None


def covered_cases(calibrated: int, tested: int, level: float, sides: int) -> rv_frozen:
    """Return the distribution of the number of covered test cases, over draws of all cases.

    It is beta-binomial if calibration and test cases are independent draws of one population (Vovk 2012,
    arXiv:1209.2673, proposition 2a), and the scores have no ties; with ties, more are covered.

    Args:
        calibrated: Number of calibration cases.
        tested: Number of test cases.
        level: Coverage, in (0, 1); not higher than this number of calibration cases guarantees.
        sides: 1 for a limit, 2 for an interval with (1 - level) / 2 on each side.
    """
    from scipy.stats import betabinom  # slow to import; segmenting only applies a calibration

    rank = math.ceil((calibrated + 1) * (1 - (1 - level) / sides) - 1e-9)
    outside = sides * (calibrated + 1 - rank)
    return betabinom(tested, calibrated + 1 - outside, outside)


def fewest_cases(level: float) -> int:
    """Return the number of calibration cases from which a two-sided interval of this level is finite.

    Each side takes (1 - level) / 2, so that ceil((n + 1) (1 + level) / 2) must not exceed n: 9 cases for
    80 %, 19 for 90 % and 39 for 95 %. One-sided limits and `control_risk` need about half as many.
    """
    return math.ceil(2 / (1 - level) - 1 - 1e-9)
