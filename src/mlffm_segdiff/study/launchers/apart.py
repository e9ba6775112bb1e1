"""One cell in a fresh process, whichever engine's process begins it.

A fresh one: what a cell gives then cannot depend on what ran before it, its memory comes back, and a crash is
told from a lost machine.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.launchers.base import Outcome, one_line
from mlffm_segdiff.study.launchers.child import Child
from mlffm_segdiff.study.launchers.notices import announce
from mlffm_segdiff.study.launchers.parcel import Parcel, logs_of, run_parcel


def run_apart(parcel: Parcel) -> Outcome:
    """Announce the cell, run it in a process of its own and return how it ended."""
    try:
        if parcel.notices is not None:
            announce(parcel.notices, parcel.key)
    except UserError as error:
        return Outcome(parcel.key, one_line(error))
    child = begin_apart(parcel)
    try:
        outcome = next(child.messages(), None) or died(parcel, child)
        child.join()
    finally:
        child.stop()
    return outcome


def begin_apart(parcel: Parcel) -> Child[Outcome]:
    """Begin the cell in a process of its own, which sends the Outcome."""
    return Child(partial(_send_outcome, parcel), _log(parcel))


def died(parcel: Parcel, child: Child[Outcome]) -> Outcome:
    """Return the Outcome of a cell whose process ended without one."""
    return Outcome(parcel.key, f"its process {child.how_it_ended()}; see {_log(parcel)}")


def _log(parcel: Parcel) -> Path:
    return logs_of(parcel.study) / f"{parcel.key}.txt"


def _send_outcome(parcel: Parcel, send: Callable[[Outcome], None]) -> None:
    send(run_parcel(parcel))
