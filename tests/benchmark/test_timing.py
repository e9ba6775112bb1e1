from collections.abc import Callable

import numpy as np
import pytest

from mlffm_segdiff.benchmark.timing import (
    Figure,
    Timing,
    figure,
    quartiles,
    take_turns,
    time_ratio,
)


class Machine:
    """A clock that only work moves, and a log of who worked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def work(self, name: str, seconds: Callable[[int], float]) -> Callable[[], None]:
        """Work that takes seconds(number of calls so far of all)."""

        def call() -> None:
            self.now += seconds(len(self.log))
            self.log.append(name)

        return call

    def clock(self) -> float:
        return self.now


def test_contestants_take_turns_in_an_order_that_turns_round() -> None:
    machine = Machine()
    works = {name: machine.work(name, lambda n: 1.0) for name in "abc"}
    found = take_turns(works, repeats=3, clock=machine.clock)
    assert "".join(machine.log) == "aabbcc" + "abc" + "cba" + "abc"
    assert found == {name: Timing((1.0, 1.0, 1.0)) for name in "abc"}


def test_the_first_calls_do_not_count() -> None:
    machine = Machine()
    found = take_turns({"cold": machine.work("cold", lambda n: 9.0 if n < 2 else 2.0)}, 4, machine.clock)
    assert found["cold"].seconds == (2.0,) * 4


def test_short_work_is_called_often_enough_to_fill_the_least_time() -> None:
    machine = Machine()
    works = {"short": machine.work("short", lambda n: 0.25), "long": machine.work("long", lambda n: 3.0)}
    found = take_turns(works, 2, machine.clock, least_seconds=1.0)
    assert machine.log.count("short") == 2 + 2 * 4
    assert machine.log.count("long") == 2 + 2
    assert found == {"short": Timing((0.25, 0.25)), "long": Timing((3.0, 3.0))}


def test_a_machine_that_slows_down_changes_times_but_no_ratio() -> None:
    machine = Machine()
    slow = lambda n: 2.0 ** ((n - 4) // 2)  # noqa: E731  each turn of two twice as slow as the last
    works = {"one": machine.work("one", slow), "other": machine.work("other", lambda n: 4 * slow(n))}
    found = take_turns(works, 5, machine.clock)
    assert found["one"].seconds == (1.0, 2.0, 4.0, 8.0, 16.0)
    assert time_ratio(found["other"], found["one"]) == Figure(4.0, 4.0, 4.0)


def test_ratio_of_medians_with_quartiles_of_the_turns() -> None:
    """Medians 3 and 2; ratios 0.5, 1, 3, 2, 5, of which the quartiles are 1 and 3."""
    one, other = Timing((1.0, 2.0, 3.0, 4.0, 10.0)), Timing((2.0, 2.0, 1.0, 2.0, 2.0))
    assert time_ratio(one, other) == Figure(1.5, 1.0, 3.0)
    assert time_ratio(one, other).times(250) == Figure(375.0, 250.0, 750.0)


@pytest.mark.parametrize("count", [2, 3, 4, 7, 10])
def test_quartiles_are_numpys(count: int) -> None:
    values = np.random.default_rng(count).random(count).tolist()
    assert quartiles(values) == pytest.approx(tuple(np.quantile(values, [0.5, 0.25, 0.75])))
    assert figure(iter(values)) == Figure(*quartiles(values))


def test_one_value_is_its_own_quartiles() -> None:
    assert quartiles([3.0]) == (3.0, 3.0, 3.0)
