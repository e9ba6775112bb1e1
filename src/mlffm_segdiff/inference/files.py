"""Files to masks, as a stream: while the network works, threads read the next and write the last."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import whole_file
from mlffm_segdiff.data.files import decode_image
from mlffm_segdiff.inference.model import Answer, Model, answer_pictures
from mlffm_segdiff.inference.overlay import draw_outline
from mlffm_segdiff.inference.prediction import Prediction, check_threshold, measure, predict_source
from mlffm_segdiff.inference.reading import FilePicture, check_batch_size, read_picture
from mlffm_segdiff.inference.table import Row, write_rows
from mlffm_segdiff.segmenters.at_source import THRESHOLD

TABLE_FILE = "predictions.csv"
OVERLAY_QUALITY = 92
WORKERS = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Output:
    """Where results go, and which: masks/NAME.png always, the two others where asked for.

    masks: 0 and 255. probabilities/NAME.png: 8 bits, 255 times the probability. overlays/NAME.jpg: the
    picture with the mask's outline. NAME is the picture's name without its ending.
    """

    folder: Path
    probability: bool = False
    overlay: bool = False

    @property
    def masks(self) -> Path:
        """The folder of masks."""
        return self.folder / "masks"

    @property
    def probabilities(self) -> Path:
        """The folder of probability maps."""
        return self.folder / "probabilities"

    @property
    def overlays(self) -> Path:
        """The folder of overlays."""
        return self.folder / "overlays"

    @property
    def table(self) -> Path:
        """The table of numbers."""
        return self.folder / TABLE_FILE


@dataclass(frozen=True)
class _Unreadable:
    path: Path
    reason: str


_Read = FilePicture | _Unreadable
_Answered = tuple[FilePicture, Answer] | _Unreadable


def predict_files(
    images: Sequence[Path],
    model: Model,
    output: Output,
    threshold: float = THRESHOLD,
    batch_size: int = 8,
) -> Iterator[Row]:
    """Segment the files, write what `output` asks for, and yield each file's row of predictions.csv in order.

    A file that cannot be read gives a row with status failed and stops no other. Memory does not grow with
    the number of files. The table appears after the last file. images: no two of one name before the ending.
    Raises UserError where `output` cannot be written or would overwrite an image, or a number is out of
    range.
    """
    check_threshold(threshold)
    check_batch_size(batch_size)
    _refuse_overwriting(images, output)
    workers = min(WORKERS, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        read = _in_order(pool, partial(_read, size=model.size), images, batch_size + workers)
        answered = _answer(model, read, batch_size)
        write = partial(_write, output=output, threshold=threshold, samples=model.sampling.samples)
        rows = _in_order(pool, write, answered, 2 * workers)
        yield from write_rows(rows, output.table)


def _in_order(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Map over items in the pool, results in order, with at most `ahead` items under way."""
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # after a fault or Ctrl-C, what has not begun never does
        for future in pending:
            future.cancel()


def _read(path: Path, size: int) -> _Read:
    try:
        return read_picture(path, size)
    except UserError as error:
        return _Unreadable(path, str(error))


def _answer(model: Model, files: Iterable[_Read], batch_size: int) -> Iterator[_Answered]:
    stream = iter(files)
    while chunk := list(islice(stream, batch_size)):
        pictures = [file.picture for file in chunk if isinstance(file, FilePicture)]
        answers = iter(answer_pictures(model, pictures))
        yield from ((file, next(answers)) if isinstance(file, FilePicture) else file for file in chunk)


def _write(answered: _Answered, output: Output, threshold: float, samples: int) -> Row:
    if isinstance(answered, _Unreadable):
        return Row(answered.path.name, status="failed", error=answered.reason)
    file, answer = answered
    prediction = predict_source(answer, threshold)
    _write_pictures(file, prediction, output)
    measures = asdict(measure(prediction))
    if samples == 1:
        measures["mean_spread"] = None
    return Row(file.path.name, file.picture.width, file.picture.height, **measures)


def _write_pictures(file: FilePicture, prediction: Prediction, output: Output) -> None:
    name = f"{file.path.stem}.png"
    _save(prediction.mask.astype(np.uint8) * np.uint8(255), output.masks / name)
    if output.probability:
        _save(np.rint(prediction.probability * 255).astype(np.uint8), output.probabilities / name)
    if output.overlay:
        image = decode_image(file.data, str(file.path))
        _save(draw_outline(image, prediction.mask), output.overlays / f"{file.path.stem}.jpg")


def _save(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    with whole_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, quality=OVERLAY_QUALITY, subsampling=0)


def _refuse_overwriting(images: Sequence[Path], output: Output) -> None:
    written = {folder.resolve() for folder in (output.masks, output.probabilities, output.overlays)}
    for path in images:
        if path.resolve().parent in written:
            raise UserError(f"{path} lies where results are written; choose another output folder")
