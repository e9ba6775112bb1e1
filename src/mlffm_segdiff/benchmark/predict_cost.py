"""Throughput and peak memory of ``predict`` on files."""

import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from mlffm_segdiff.benchmark.goals import GOALS, Findings, Result
from mlffm_segdiff.benchmark.photographs import write_photographs
from mlffm_segdiff.benchmark.subject import Subject
from mlffm_segdiff.benchmark.timing import figure, take_turns, time_ratio
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.reading.case_image import CaseImage, read_image

PREDICT_BATCH = 8
PREDICT, NETWORK_ONLY = "predict, files to files", "the network only, decoded images"
FILES, MORE = 24, 4
VERB = "from mlffm_segdiff.cli import main; main()"
# Linux counts the memory of a process before it executed another program, so a child of this process would
# seem as large as this process; a child of a small process does not.
WITNESS = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
UNAVAILABLE = "not measured: this system does not report a process's peak memory"


def measure_predict(subject: Subject) -> Findings:
    """Time ``predict`` on ``subject.images`` files, and the network on the same images in memory."""
    with TemporaryDirectory() as folder:
        paths = write_photographs(Path(folder, "images"), subject.images)
        images = [read_image(path, subject.model.size) for path in paths]
        number = count()
        works = {
            PREDICT: lambda: _predict(paths, subject.model, Path(folder, f"results_{next(number)}")),
            NETWORK_ONLY: lambda: _segment(images, subject.model),
        }
        timings = take_turns(works, subject.few_repeats, subject.clock)
    rates = {f"{name}, images/s": subject.images / timing.median for name, timing in timings.items()}
    results = (Result(GOALS["predict"], time_ratio(timings[NETWORK_ONLY], timings[PREDICT])),)
    return Findings(results, timings, {"predict": rates})


def _predict(paths: Sequence[Path], model: Model, folder: Path) -> None:
    for _ in predict_files(paths, model, Output(folder), batch_size=PREDICT_BATCH):
        pass


def _segment(images: Sequence[CaseImage], model: Model) -> None:
    for start in range(0, len(images), PREDICT_BATCH):
        chunk = images[start : start + PREDICT_BATCH]
        model.segment([one.network_input for one in chunk], [one.view for one in chunk].__getitem__)


def measure_memory(subject: Subject) -> Findings:
    """Run ``predict`` at batch 1 on FILES files and on MORE times as many, each in a separate process."""
    names = "memory", "memory-growth"
    if find_spec("resource") is None:
        return Findings(tuple(Result(GOALS[name], None, UNAVAILABLE) for name in names))
    few, many = (_peak_of_predict(subject, count) for count in (FILES, FILES * MORE))
    figures = figure([many / 1e9]), figure([many / few])
    results = tuple(Result(GOALS[name], found) for name, found in zip(names, figures, strict=True))
    peaks = {f"{FILES} files, GB": few / 1e9, f"{FILES * MORE} files, GB": many / 1e9}
    return Findings(results, facts={"peak memory of predict": peaks})


def _peak_of_predict(subject: Subject, files: int) -> int:
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "images"), Path(folder, "results")
        write_photographs(source, files)
        where = ["-i", str(source), "-o", str(target), "--weights", subject.weights]
        how = ["--batch-size", "1", "--threads", str(torch.get_num_threads())]
        how += ["--precision", subject.precision, "--device", str(subject.model.device)]
        return peak_bytes([sys.executable, "-c", VERB, "predict", *where, *how])


def peak_bytes(command: Sequence[str]) -> int:
    """Run a command and return its peak resident memory in bytes. Raises CalledProcessError if it fails."""
    witness = [sys.executable, "-c", WITNESS, *command]
    printed = subprocess.run(witness, check=True, stdout=subprocess.PIPE, encoding="ascii").stdout
    return int(printed) * (1 if sys.platform == "darwin" else 1024)
