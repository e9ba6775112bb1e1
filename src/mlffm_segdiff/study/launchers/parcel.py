"""A cell as it travels to another process."""

import os
import pickle
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.launchers.base import Outcome, Work, outcome_of

CARRIED = ("PYTHONPATH", "MLFFM_SEGDIFF_CACHE", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Variables that a cell elsewhere takes from here, not from the machine it runs on."""


@dataclass(frozen=True)
class Parcel:
    """One cell. work: pickled, for to unpickle it imports torch, which reads its number of threads only then.

    study, directory (where relative paths begin), notices: absolute. notices: None where the engine itself
    tells that a cell begins.
    """

    work: bytes
    study: Path
    key: str
    threads: int
    environment: Mapping[str, str]
    directory: Path
    notices: Path | None = None


def pack(work: Work, study: Path, key: str, threads: int, notices: Path | None = None) -> Parcel:
    """Return the cell as a parcel; `work` must be importable by its name."""
    environment = environment_for(threads)
    return Parcel(pickle.dumps(work), study.absolute(), key, threads, environment, Path.cwd(), notices)


def environment_for(threads: int) -> dict[str, str]:
    """Return the variables that a process for a cell needs before it loads anything; paths are absolute."""
    found = {name: os.environ[name] for name in CARRIED if os.environ.get(name)}
    if "PYTHONPATH" in found:
        parts = found["PYTHONPATH"].split(os.pathsep)
        found["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in parts)
    return found | {"OMP_NUM_THREADS": str(threads)}


def run_parcel(parcel: Parcel) -> Outcome:
    """Run the cell in this process, which is there for it alone: directory, variables and output change."""
    return outcome_of(lambda study, key: _run(parcel, study, key), parcel.study, parcel.key)


def logs_of(study: Path) -> Path:
    """Return the folder of what the processes print that run cells, KEY.txt, or that speak to an engine."""
    return study.absolute() / "logs"


def _run(parcel: Parcel, study: Path, key: str) -> None:
    os.environ.update(parcel.environment)
    try:
        _enter(parcel.directory)
        work: Work = pickle.loads(parcel.work)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(parcel.threads)
        work(study, key)
    except Exception:
        traceback.print_exc()
        raise


def _enter(directory: Path) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise UserError(
            f"{directory} cannot be entered ({error.strerror}); "
            "start the study in a folder that all machines share"
        ) from None
