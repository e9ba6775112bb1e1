from collections.abc import Callable

import pytest

from mlffm_segdiff.config.study import Study
from mlffm_segdiff.study.cells import Cell, make_cells
from mlffm_segdiff.study.tally import Tally, duration


@pytest.fixture(scope="module")
def cells(make_study: Callable[..., Study]) -> list[Cell]:
    return make_cells(make_study(), {}, "")


def test_cells_wait_until_something_is_known(cells: list[Cell]) -> None:
    tally = Tally(cells)
    assert [tally.count(state) for state in ("waiting", "running", "done", "failed")] == [4, 0, 0, 0]
    assert tally.seconds_left() is None


def test_time_left_is_the_mean_of_those_done_shared_among_those_that_run(cells: list[Cell]) -> None:
    first, second, third, fourth = (cell.key for cell in cells)
    tally = Tally(cells, {first: "done"}, {first: 10.0})
    assert tally.seconds_left() == 30.0
    tally.states |= {second: "running", third: "running"}
    assert tally.seconds_left() == 15.0
    tally.states |= {second: "done"}
    tally.seconds[second] = 20.0
    assert tally.seconds_left() == 30.0
    tally.states |= {third: "failed", fourth: "done"}
    assert tally.seconds_left() == 0.0


def test_some_cells_can_be_counted_alone(cells: list[Cell]) -> None:
    tally = Tally(cells, {cells[0].key: "done", cells[1].key: "done", cells[2].key: "failed"})
    assert tally.count("done", cells=cells[1:]) == 1
    assert tally.count("done", "failed") == 3


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, "?"), (0, "0 s"), (59.4, "59 s"), (60, "1 min"), (59.4 * 60, "59 min"), (3900, "1 h 05 min")],
)
def test_times_are_told_shortly(seconds: float | None, told: str) -> None:
    assert duration(seconds) == told
