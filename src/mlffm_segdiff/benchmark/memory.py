"""The most memory that `predict` takes, measured in a process of its own."""

import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from mlffm_segdiff.benchmark.goals import GOALS, Findings, Result
from mlffm_segdiff.benchmark.pictures import write_photographs
from mlffm_segdiff.benchmark.subject import Subject
from mlffm_segdiff.benchmark.timing import figure

FILES, MORE = 24, 4
VERB = "from mlffm_segdiff.cli import main; main()"
# Linux counts what a process was before it became another program, so that a child of this process would
# seem as big as this process; the child of a small one does not.
WITNESS = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
UNTOLD = "not measured: this system does not tell a process's peak memory"


def measure_memory(subject: Subject) -> Findings:
    """Run `predict` at batch 1 on FILES files and on MORE times as many."""
    names = "memory", "memory-growth"
    if find_spec("resource") is None:
        return Findings(tuple(Result(GOALS[name], None, UNTOLD) for name in names))
    few, many = (_peak_of_predict(subject, count) for count in (FILES, FILES * MORE))
    figures = figure([many / 1e9]), figure([many / few])
    results = tuple(Result(GOALS[name], found) for name, found in zip(names, figures, strict=True))
    peaks = {f"{FILES} files, GB": few / 1e9, f"{FILES * MORE} files, GB": many / 1e9}
    return Findings(results, facts={"peak memory of predict": peaks})


def peak_bytes(command: Sequence[str]) -> int:
    """Run a command and return the most memory (resident bytes) that it took.

    Raises CalledProcessError if it fails.
    """
    witness = [sys.executable, "-c", WITNESS, *command]
    printed = subprocess.run(witness, check=True, stdout=subprocess.PIPE, text=True).stdout
    return int(printed) * (1 if sys.platform == "darwin" else 1024)


def _peak_of_predict(subject: Subject, files: int) -> int:
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "pictures"), Path(folder, "results")
        write_photographs(source, files)
        where = ["-i", str(source), "-o", str(target), "--weights", subject.weights]
        how = f"--batch-size 1 --threads {torch.get_num_threads()} --precision {subject.precision}"
        return peak_bytes([sys.executable, "-c", VERB, "predict", *where, *how.split()])
