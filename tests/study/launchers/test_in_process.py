from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mlffm_segdiff.study.launchers import InProcess


def test_cells_run_one_by_one_in_the_order_given(run: Callable[..., Any], diary: Any) -> None:
    errors = run(InProcess(threads=1), "b", "fails", "a")
    assert list(errors) == ["b", "fails", "a"]
    assert errors == {"b": None, "fails": "ValueError: no such lesion", "a": None}
    assert diary.times("end") == {"b": 1, "a": 1}


def test_a_cell_begins_when_the_one_before_was_taken(run: Callable[..., Any], diary: Any, toy: Any) -> None:
    outcomes = InProcess(threads=1).launch(toy, diary.study, ["a", "b"])
    next(outcomes)
    assert diary.times("begin") == {"a": 1}


def test_torch_has_the_cells_threads_while_it_runs_and_the_callers_after(tmp_path: Path) -> None:
    seen = []
    torch.set_num_threads(1)
    for _ in InProcess(threads=3).launch(
        lambda study, key: seen.append(torch.get_num_threads()), tmp_path, ["a"]
    ):
        assert torch.get_num_threads() == 1
    assert seen == [3]


def test_a_relative_study_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.chdir(tmp_path)
    list(InProcess(1).launch(lambda study, key: seen.append(study), Path("study"), ["a"]))
    assert seen == [tmp_path / "study"]
