"""Kills a command again and again, repeats it, and compares its results with an unbroken run's."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from signal import SIGKILL, SIGTERM

from kill.child import Ended, Kill, Work, import_all, run_in_child

from mlffm_segdiff.cli.app import main

UNFINISHED = (".part-", ".building-")
SEED = int(os.environ.get("KILL_SEED", "0"))

Files = dict[str, bytes]


def command(*arguments: str | Path) -> Work:
    """Return a command of the program as work for a child."""
    return lambda: main([str(argument) for argument in arguments])


class Killing:
    """Work that is killed in a new folder and repeated there.

    Args:
        folder: Everything is written below it.
        begin: The work, given the folder of its results.
        again: What a user does after the kill: attempts in order, until one ends well. None repeats the work.
        patterns: The files that must be the same as those of an unbroken run.
    """

    def __init__(
        self,
        folder: Path,
        begin: Callable[[Path], Work],
        again: Callable[[Path], tuple[Work, ...]] | None = None,
        patterns: tuple[str, ...] = ("**/*",),
    ) -> None:
        self.folder, self.begin, self.patterns = folder, begin, patterns
        self.again = again or (lambda place: (begin(place),))
        self.hits = 0
        whole, second = (folder / name / "out" for name in ("whole", "second"))
        modules = folder / "modules.txt"
        first = self._end(lambda: _listing_modules(begin(whole), modules), whole)
        assert first.status == 0, (folder / "whole.log").read_text()
        import_all(modules.read_text().split())
        started = time.monotonic()
        self.expected, self.moments = self.results(whole), self._end(begin(second), second).moments
        self.longest_pause = (time.monotonic() - started) / 10
        assert self.expected
        assert changed(self.expected, self.results(second)) == [], "two unbroken runs differ"

    def results(self, place: Path) -> Files:
        """Return the content of the files to compare, by name."""
        found = {path for pattern in self.patterns for path in place.glob(pattern) if path.is_file()}
        return {str(path.relative_to(place)): path.read_bytes() for path in sorted(found)}

    def fault(self, number: int) -> str:
        """Kill once, at the moment that this number draws, repeat, and return what is wrong, or nothing."""
        rng = Random(f"{SEED}/{number}")
        pause = rng.choice((0.0, rng.uniform(0, self.longest_pause)))
        kill = Kill(rng.randint(1, self.moments), pause, rng.choice((SIGKILL, SIGTERM)))
        place = self.folder / f"killed-{number}" / "out"
        self.hits += self._end(self.begin(place), place, kill).status != 0
        if all(self._end(attempt, place).status != 0 for attempt in self.again(place)):
            printed = (self.folder / f"killed-{number}.log").read_text(errors="replace")
            return f"{number}, {kill}: cannot be repeated: {printed[-400:]}"
        wrong = changed(self.expected, self.results(place))
        left = [path.name for path in place.parent.rglob("*") if path.name.startswith(UNFINISHED)]
        found = [f"{what} {names[:4]}" for what, names in (("changed", wrong), ("left", left)) if names]
        return f"{number}, {kill}: {', '.join(found)}" if found else ""

    def check(self, count: int, rows: list[str]) -> None:
        """Repeat until `count` runs were killed, add a row to the summary, and fail with all faults.

        KILL_COUNT replaces `count`.
        """
        count, faults = int(os.environ.get("KILL_COUNT", count)), []
        for number in range(3 * count):
            if self.hits < count and (fault := self.fault(number)):
                faults.append(fault)
        rows.append(f"{self.folder.name:<8} kills {self.hits:>3}  faults {len(faults):>3}")
        assert self.hits == count, "most runs ended before the signal"
        assert not faults, "\n" + "\n".join(faults)

    def _end(self, work: Work, place: Path, kill: Kill | None = None) -> Ended:
        place.parent.mkdir(parents=True, exist_ok=True)
        return run_in_child(work, self.folder / f"{place.parent.name}.log", kill)


def _listing_modules(work: Work, path: Path) -> object:
    try:
        return work()
    finally:
        path.write_text("\n".join(sorted(sys.modules)))


def changed(expected: Files, found: Files) -> list[str]:
    """Return the names of files that are missing, new or different."""
    return sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
