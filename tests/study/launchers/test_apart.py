from dataclasses import replace
from typing import Any

from mlffm_segdiff.study.launchers.apart import run_apart
from mlffm_segdiff.study.launchers.parcel import pack


def test_a_cell_runs_in_a_process_of_its_own_and_its_words_are_kept(toy: Any, diary: Any) -> None:
    assert run_apart(pack(toy, diary.study, "a", threads=3)).error is None
    ((key, threads, _, _),) = diary.lines("sees")
    assert (key, threads) == ("a", "'3'")
    assert (diary.study / "logs" / "a.txt").read_text() == "the work speaks\n"


def test_what_ends_the_process_is_told(toy: Any, diary: Any) -> None:
    killed = run_apart(pack(toy, diary.study, "killed", threads=1))
    log = diary.study / "logs" / "killed.txt"
    assert killed.error == f"its process was killed by SIGKILL, as when memory runs out; see {log}"
    exits = run_apart(pack(toy, diary.study, "exits", threads=1))
    assert exits.error is not None
    assert exits.error.startswith("its process ended with exit status 3; see ")


def test_an_error_is_told_and_its_traceback_kept(toy: Any, diary: Any) -> None:
    assert run_apart(pack(toy, diary.study, "fails", threads=1)).error == "ValueError: no such lesion"
    assert 'raise ValueError("no such lesion' in (diary.study / "logs" / "fails.txt").read_text()


def test_a_study_that_is_not_shared_fails_before_it_is_touched(toy: Any, diary: Any) -> None:
    parcel = pack(toy, diary.study / "elsewhere", "a", 1, diary.study / "elsewhere" / ".launch-x")
    assert "must lie on a file system that all its machines share" in (run_apart(parcel).error or "")
    assert not list(diary.study.iterdir())


def test_a_directory_that_is_not_shared_is_told(toy: Any, diary: Any) -> None:
    parcel = replace(pack(toy, diary.study, "a", 1), directory=diary.study / "nowhere")
    assert "nowhere cannot be entered (No such file or directory)" in (run_apart(parcel).error or "")
    assert diary.times("begin") == {}
