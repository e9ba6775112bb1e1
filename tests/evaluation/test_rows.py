import numpy as np

from mlffm_segdiff.evaluation.rows import EvaluatedCase, column_names, row_values
from mlffm_segdiff.metrics.case_scores import score_case


def test_a_row_fills_its_columns_in_their_order() -> None:
    truth = np.eye(3, dtype=bool)
    predicted = np.tri(3, dtype=bool)
    scores = score_case(predicted, truth)
    row = row_values(EvaluatedCase("a", scores, score_case(truth, truth)))
    assert list(row) == column_names(with_network=True)
    assert (row["id"], row["jaccard"], row["network_jaccard"]) == ("a", 0.5, 1.0)
    assert (row["dice"], row["tp"], row["fp"], row["network_fp"]) == (round(2 / 3, 6), 3, 3, 0)


def test_without_a_network_there_are_no_network_columns() -> None:
    truth = np.eye(3, dtype=bool)
    row = row_values(EvaluatedCase("a", score_case(truth, truth)))
    assert list(row) == column_names(with_network=False)
    assert not any(name.startswith("network") for name in row)
