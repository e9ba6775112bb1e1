"""Thirds of values: the only rule by which the project divides images into thirds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.metrics.intervals import Values


def thirds(values: Values) -> npt.NDArray[np.intp]:
    """Divide values at their quantiles 1/3 and 2/3, which are in the lower third; equal values stay together.

    Args:
        values: Finite numbers, N.

    Returns:
        0 (lowest), 1 or 2 for each value, N. Many equal values can leave a third empty.
    """
    if not len(values):
        return np.empty(0, dtype=np.intp)
    return np.searchsorted(np.quantile(values, (1 / 3, 2 / 3)), values)
