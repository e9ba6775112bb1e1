import csv
from pathlib import Path

import pytest

from mlffm_segdiff.training.metrics_log import MetricsLog, read_rows


def steps(path: Path) -> list[int]:
    return [int(row["step"]) for row in read_rows(path)]


def test_rows_are_added_and_columns_come_as_they_are_met(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "metrics.csv"
    log = MetricsLog(path)
    log.log_metrics({"val_jaccard": 0.5, "epoch": 0}, 11)
    log.log_metrics({"loss": 1.25, "epoch": 0}, 11)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"epoch": "0", "loss": "", "step": "11", "val_jaccard": "0.5"},
        {"epoch": "0", "loss": "1.25", "step": "11", "val_jaccard": ""},
    ]
    assert [file.name for file in path.parent.iterdir()] == ["metrics.csv"]


def test_numbers_keep_all_their_digits(tmp_path: Path) -> None:
    MetricsLog(tmp_path / "metrics.csv").log_metrics({"loss": 0.1 + 0.2}, 0)
    assert float(read_rows(tmp_path / "metrics.csv")[0]["loss"]) == 0.1 + 0.2


@pytest.mark.parametrize(("first", "kept"), [(11, []), (23, [11, 11]), (35, [11, 11, 23, 23])])
def test_a_resumed_run_replaces_repeated_rows(first: int, kept: list[int], tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    before = MetricsLog(path)
    for step in (11, 23):
        before.log_metrics({"val_jaccard": 0.5}, step)
        before.log_metrics({"loss": 1}, step)
    after = MetricsLog(path)
    after.log_metrics({"val_jaccard": 0.6}, first)
    after.log_metrics({"loss": 2}, first)
    assert steps(path) == [*kept, first, first]


def test_without_a_file_there_are_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "metrics.csv") == []
