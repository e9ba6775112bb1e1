"""`predict` on a folder of photographs against the network alone."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mlffm_segdiff.benchmark.goals import GOALS, Findings, Result
from mlffm_segdiff.benchmark.pictures import write_pictures
from mlffm_segdiff.benchmark.subject import Subject
from mlffm_segdiff.benchmark.timing import take_turns, time_ratio
from mlffm_segdiff.inference.model import Model, segment_images
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.reading.case_image import CaseImage, read_image

PREDICT_BATCH = 8
PREDICT, ALONE = "predict, files to files", "the network alone, decoded pictures"


def measure_predict(subject: Subject) -> Findings:
    """Time `predict_files` on ``subject.images`` files, and the network on the same pictures in memory."""
    with TemporaryDirectory() as folder:
        paths = write_pictures(Path(folder, "pictures"), subject.images)
        images = [read_image(path, subject.model.size) for path in paths]
        works = {
            PREDICT: lambda: _predict(paths, subject.model, Path(folder, "results")),
            ALONE: lambda: _segment(images, subject.model),
        }
        timings = take_turns(works, subject.few_repeats, subject.clock)
    rates = {f"{name}, images/s": subject.images / timing.median for name, timing in timings.items()}
    results = (Result(GOALS["predict"], time_ratio(timings[ALONE], timings[PREDICT])),)
    return Findings(results, timings, {"predict": rates})


def _predict(paths: Sequence[Path], model: Model, folder: Path) -> None:
    for _ in predict_files(paths, model, Output(folder), batch_size=PREDICT_BATCH):
        pass


def _segment(images: Sequence[CaseImage], model: Model) -> None:
    for start in range(0, len(images), PREDICT_BATCH):
        chunk = images[start : start + PREDICT_BATCH]
        segment_images(model, [one.network_input for one in chunk], [one.view for one in chunk].__getitem__)
