from pathlib import Path

import pytest

from mlffm_segdiff.study.launchers.base import Outcome, attempt


def test_work_that_ends_well_has_no_error() -> None:
    done = []
    assert attempt(lambda study, key: done.append((study, key)), Path("s"), "k") == Outcome("k", None)
    assert done == [(Path("s"), "k")]


def test_ctrl_c_is_not_an_outcome() -> None:
    def work(study: Path, key: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(work, Path(), "k")
