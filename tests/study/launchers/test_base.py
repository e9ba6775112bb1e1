from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.launchers.base import Outcome, attempt, one_line


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("first\nsecond"), "ValueError: first"),
        (ValueError("\n  first\n"), "ValueError: first"),
        (AssertionError(), "AssertionError"),
        (UserError("no data at x; name them"), "no data at x; name them"),
    ],
)
def test_an_error_is_one_line(error: Exception, expected: str) -> None:
    assert one_line(error) == expected


def test_work_that_ends_well_has_no_error() -> None:
    done = []
    assert attempt(lambda study, key: done.append((study, key)), Path("s"), "k") == Outcome("k", None)
    assert done == [(Path("s"), "k")]


def test_ctrl_c_is_not_an_outcome() -> None:
    def work(study: Path, key: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(work, Path(), "k")
