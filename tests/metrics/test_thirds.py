import numpy as np
import pandas as pd
import pytest

from mlffm_segdiff.metrics.thirds import thirds


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 30, 31, 32])
def test_thirds_are_those_of_pandas(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    expected = pd.qcut(values, 3, labels=False) if count > 1 else [0]
    assert thirds(values).tolist() == list(expected)


def test_a_value_at_a_limit_is_in_the_lower_third() -> None:
    """Of four values, the second and the third one are the quantiles 1/3 and 2/3."""
    assert thirds(np.array([4.0, 1, 3, 2])).tolist() == [2, 0, 1, 0]


def test_equal_values_stay_together_and_nothing_has_no_thirds() -> None:
    assert thirds(np.array([1.0, 1, 1, 1, 2])).tolist() == [0, 0, 0, 0, 2]
    assert thirds(np.empty(0)).tolist() == []
