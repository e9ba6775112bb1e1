"""Damaged inputs for a reader, and the judgement of what it does with them."""

import json
import shutil
import time
import traceback
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import ClassVar

from fuzz.mutators import damage_bytes
from fuzz.watch import TooSlowError, bounded_memory, memory, watched

from mlffm_segdiff.config.errors import UserError

KEPT = 3
"""Reproducers that are kept of one fault."""
UNFINISHED = (".part-", ".building-")


class Reader(ABC):
    """Something that reads files of users.

    Attributes:
        name: In summaries.
        seeds: Valid inputs by file name. They are accepted.
        others: Further inputs to damage, which may be refused as they are.
    """

    name: ClassVar[str]
    seeds: Mapping[str, bytes]
    others: Mapping[str, bytes] = {}

    def __init__(self, folder: Path) -> None:
        self.inputs, self.outputs = folder / "inputs", folder / "outputs"

    def damage(self, rng: Random, data: bytes, other: bytes) -> bytes:
        """Return damaged data; `other` is another valid input."""
        return damage_bytes(rng, data, other)

    def place(self, name: str, data: bytes) -> Path:
        """Write an input to where `read` finds it, and return its path."""
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    @abstractmethod
    def read(self, path: Path) -> bool:
        """Read an input and return whether it was accepted; UserError also refuses it.

        Results go to `outputs`. Raises AssertionError for a wrong result.
        """


@dataclass(frozen=True)
class Input:
    """A damaged input; seed and number make the same one again."""

    name: str
    data: bytes


@dataclass
class Fault:
    """A kind of fault: what happened and where, how often, the first of its inputs, and a traceback."""

    what: str
    count: int = 0
    numbers: list[int] = field(default_factory=list)
    detail: str = ""


@dataclass
class Summary:
    """The results of a campaign."""

    reader: str
    seed: int
    start: int
    counts: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, 0)
    peak_megabytes: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)

    def row(self) -> str:
        """Return one line of the table of all readers."""
        seconds, number = self.slowest
        counted = "  ".join(f"{kind} {self.counts[kind]:>5}" for kind in ("rejected", "accepted", "fault"))
        return (
            f"{self.reader:<9} inputs {self.counts.total():>5}  {counted} ({len(self.faults)} kinds)  "
            f"slowest {seconds:.2f} s (number {number})  peak {self.peak_megabytes} MB"
        )

    def report(self) -> str:
        """Return the faults with their seeds, for a person."""
        return "\n".join(
            f"{self.reader}: {fault.count} x {fault.what}\n  FUZZ_SEED={self.seed} FUZZ_COUNT=1 FUZZ_START="
            f"{' or '.join(map(str, fault.numbers))}\n{fault.detail}"
            for fault in sorted(self.faults.values(), key=lambda one: -one.count)
        )


def make_input(reader: Reader, seed: int, number: int) -> Input:
    """Return the damaged input with this number."""
    rng = Random(f"{seed}/{reader.name}/{number}")
    files = [*reader.seeds.items(), *reader.others.items()]
    (name, data), (_, other) = rng.choice(files), rng.choice(files)
    return Input(name, reader.damage(rng, data, other))


def fuzz(reader: Reader, seed: int, start: int, count: int, folder: Path) -> Summary:
    """Read `count` damaged inputs and write faults, with their inputs, to `folder`."""
    summary = Summary(reader.name, seed, start)
    folder.mkdir(parents=True, exist_ok=True)
    with bounded_memory():
        for number in range(start, start + count):
            (folder / f"{reader.name}-running.txt").write_text(f"seed {seed}, number {number}\n")
            _try(reader, make_input(reader, seed, number), number, summary, folder)
    (folder / f"{reader.name}-running.txt").unlink(missing_ok=True)
    (folder / f"{reader.name}-{seed}-{start}.json").write_text(json.dumps(_as_json(summary), indent=1))
    return summary


def accepts(reader: Reader, name: str, data: bytes) -> bool:
    """Return whether a reader accepts an input as it is; a fault fails."""
    summary = Summary(reader.name, 0, 0)
    _try(reader, Input(name, data), 0, summary, None)
    assert not summary.faults, f"{name}\n{summary.report()}"
    return summary.counts["accepted"] == 1


def _try(reader: Reader, damaged: Input, number: int, summary: Summary, folder: Path | None) -> None:
    for place in (reader.inputs, reader.outputs):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    path = reader.place(damaged.name, damaged.data)
    started, detail, outcome = time.perf_counter(), "", "rejected"
    with watched(reader.outputs) as faults, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            outcome = "accepted" if reader.read(path) else "rejected"
        except UserError:
            pass
        except KeyboardInterrupt:
            raise
        except (Exception, TooSlowError, SystemExit) as error:
            faults.append(_where(error))
            detail = "".join(traceback.format_exception(error)[-12:])
    summary.slowest = max(summary.slowest, (time.perf_counter() - started, number))
    summary.peak_megabytes = max(summary.peak_megabytes, memory("VmHWM"))
    faults += [f"leaves {leftover.name[:9]}*" for leftover in _unfinished(reader.outputs)]
    summary.counts["fault" if faults else outcome] += 1
    for what in dict.fromkeys(faults):
        fault = summary.faults.setdefault(what, Fault(what, detail=detail))
        fault.count += 1
        if len(fault.numbers) < KEPT:
            fault.numbers.append(number)
            if folder is not None:
                (folder / f"{reader.name}-{summary.seed}-{number}-{Path(damaged.name).name}").write_bytes(
                    damaged.data
                )


def _where(error: BaseException) -> str:
    """Name an error by its type and the last line of the package that it passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "mlffm_segdiff" in frame.filename] or frames[-1:]
    place = f"{Path(own[-1].filename).name}:{own[-1].lineno} {own[-1].name}" if own else "?"
    wrong = str(error).partition("\n")[0] if isinstance(error, AssertionError) else ""
    return wrong or f"{type(error).__name__} at {place}"


def _unfinished(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.name.startswith(UNFINISHED))


def _as_json(summary: Summary) -> dict[str, object]:
    faults = [vars(fault) for fault in summary.faults.values()]
    return {**vars(summary), "counts": dict(summary.counts), "faults": faults}
