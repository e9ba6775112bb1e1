"""Files to masks, as a stream: while the network works, threads read the next and write the last."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import whole_file
from mlffm_segdiff.data.files import decode_picture
from mlffm_segdiff.inference.measures.case import measure_case
from mlffm_segdiff.inference.model import Answer, Model, answer_pictures
from mlffm_segdiff.inference.overlay import draw_outline
from mlffm_segdiff.inference.pool import helper_count, helping_threads, in_order
from mlffm_segdiff.inference.prediction import Prediction, check_threshold, predict_source
from mlffm_segdiff.inference.quality import case_certainty, expected_dice, flags
from mlffm_segdiff.inference.reading import FilePicture, check_batch_size, read_picture
from mlffm_segdiff.inference.table import Row, write_rows
from mlffm_segdiff.segmenters.at_source import THRESHOLD

TABLE_FILE = "predictions.csv"
OVERLAY_QUALITY = 92


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
    helpers = helper_count()
    ahead = batch_size + helpers  # a whole batch is read, and one written, while the network works on another
    with helping_threads(helpers) as pool:
        read = in_order(pool, partial(_read, size=model.size, keep=output.overlay), images, ahead)
        answered = _answer(model, read, batch_size)
        write = partial(_write, output=output, threshold=threshold, model=model)
        yield from write_rows(in_order(pool, write, answered, ahead), output.table)


def _read(path: Path, size: int, keep: bool) -> _Read:
    """Return the file's picture, its bytes too where `keep` says so, or why there is none."""
    try:
        file = read_picture(path, size)
    except UserError as error:
        return _Unreadable(path, str(error))
    return file if keep else replace(file, data=b"")


def _answer(model: Model, files: Iterable[_Read], batch_size: int) -> Iterator[_Answered]:
    stream = iter(files)
    while chunk := list(islice(stream, batch_size)):
        pictures = [file.picture for file in chunk if isinstance(file, FilePicture)]
        answers = iter(answer_pictures(model, pictures))
        yield from ((file, next(answers)) if isinstance(file, FilePicture) else file for file in chunk)


def _write(answered: _Answered, output: Output, threshold: float, model: Model) -> Row:
    if isinstance(answered, _Unreadable):
        return Row(answered.path.name, status="failed", error=answered.reason)
    file, answer = answered
    prediction = predict_source(answer, threshold)
    _write_pictures(file, prediction, output)
    measures = measure_case(file.view, prediction)
    if model.sampling.samples == 1:
        measures = replace(measures, mean_spread=None)
    return Row(
        file.path.name,
        file.picture.width,
        file.picture.height,
        expected_dice(answer, model, threshold),
        case_certainty(answer),
        flags(prediction.mask, measures.parts, file.picture.small, model.quality),
        measures,
    )


def _write_pictures(file: FilePicture, prediction: Prediction, output: Output) -> None:
    name = f"{file.path.stem}.png"
    _save(Image.fromarray(prediction.mask * np.uint8(255)), output.masks / name)
    if output.probability:
        shades = np.rint(prediction.probability * 255).astype(np.uint8)
        _save(Image.fromarray(shades), output.probabilities / name)
    if output.overlay:
        picture = decode_picture(file.data, str(file.path))
        draw_outline(picture, prediction.mask)
        _save(picture, output.overlays / f"{file.path.stem}.jpg")


def _save(picture: Image.Image, path: Path) -> None:
    with whole_file(path) as temporary:
        picture.save(temporary, quality=OVERLAY_QUALITY, subsampling=0, compress_type=zlib.Z_RLE)


def _refuse_overwriting(images: Sequence[Path], output: Output) -> None:
    written = {folder.resolve() for folder in (output.masks, output.probabilities, output.overlays)}
    for path in images:
        if path.resolve().parent in written:
            raise UserError(f"{path} lies where results are written; choose another output folder")
