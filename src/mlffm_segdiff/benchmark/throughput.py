"""`predict` on a folder of photographs against the network alone."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mlffm_segdiff.benchmark.goals import GOALS, Findings, Result
from mlffm_segdiff.benchmark.pictures import write_photographs
from mlffm_segdiff.benchmark.subject import Subject
from mlffm_segdiff.benchmark.timing import take_turns, time_ratio
from mlffm_segdiff.inference.files import predict_files
from mlffm_segdiff.inference.model import Model, Picture, answer_pictures
from mlffm_segdiff.inference.outputs.output import Output
from mlffm_segdiff.inference.reading import read_picture

PREDICT_BATCH = 8
PREDICT, ALONE = "predict, files to files", "the network alone, decoded pictures"


def measure_predict(subject: Subject) -> Findings:
    """Time `predict_files` on ``subject.images`` files, and the network on the same pictures in memory."""
    with TemporaryDirectory() as folder:
        paths = write_photographs(Path(folder, "pictures"), subject.images)
        pictures = [read_picture(path, subject.model.size).picture for path in paths]
        works = {
            PREDICT: lambda: _predict(paths, subject.model, Path(folder, "results")),
            ALONE: lambda: _answer(pictures, subject.model),
        }
        timings = take_turns(works, subject.few_repeats, subject.clock)
    rates = {f"{name}, images/s": subject.images / timing.median for name, timing in timings.items()}
    results = (Result(GOALS["predict"], time_ratio(timings[ALONE], timings[PREDICT])),)
    return Findings(results, timings, {"predict": rates})


def _predict(paths: Sequence[Path], model: Model, folder: Path) -> None:
    for _ in predict_files(paths, model, Output(folder), batch_size=PREDICT_BATCH):
        pass


def _answer(pictures: Sequence[Picture], model: Model) -> None:
    for start in range(0, len(pictures), PREDICT_BATCH):
        answer_pictures(model, pictures[start : start + PREDICT_BATCH])
