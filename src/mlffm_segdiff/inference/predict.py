"""Files to masks, as a stream: while the network works, threads read the next and write the last images."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.model import Model, segment_images
from mlffm_segdiff.inference.outputs.image_file import mask_image, save_image
from mlffm_segdiff.inference.outputs.predictions import Row, row_of, write_rows
from mlffm_segdiff.inference.outputs.writers import Output, Writer, make_writers, require_free_folders
from mlffm_segdiff.inference.pool import helper_count, helping_threads, in_order, large_in_turn
from mlffm_segdiff.inference.reading.case_image import CaseImage, read_image
from mlffm_segdiff.inference.reading.image_source import Source
from mlffm_segdiff.inference.result import Processing, analyse
from mlffm_segdiff.segmenters.base import Segmentation


@dataclass(frozen=True)
class _Unreadable:
    source: Source
    reason: str


_Read = CaseImage | _Unreadable
_Segmented = tuple[CaseImage, Segmentation] | _Unreadable
Writers = Mapping[str, Writer]


def predict_files(
    images: Sequence[Source],
    model: Model,
    output: Output,
    processing: Processing | None = None,
    batch_size: int = 8,
    warn: Callable[[str], object] = warnings.warn,
) -> Iterator[Row]:
    """Segment files, write masks and what `output` asks for, and yield the row of each image in order.

    An image that cannot be read gives a row with status ``failed``, an output that cannot be written one with
    status ``incomplete``; neither stops the run. Memory does not grow with the number of files. The table
    appears after the last image.

    Args:
        images: Paths, or what `find_images` found; no two with the same stem.
        model: What segments them.
        output: Where results go, and which.
        processing: How segmentations become masks, from which all outputs and measures are made.
        batch_size: Images segmented at once; changes speed only.
        warn: Receives the error of an output that is one file for all images.

    Raises:
        UserError: Masks or the table cannot be written, would overwrite an image, or an output is unknown or
            impossible.
    """
    check_batch_size(batch_size)
    how = processing or Processing()
    writers = make_writers(output, model.sampling)
    require_free_folders(images, output, writers)
    keep = any(writer.needs_image for writer in writers.values())
    helpers = helper_count()
    ahead = batch_size + helpers  # a whole batch is read, and one written, while the network works on another
    with helping_threads(helpers) as pool:
        read = in_order(pool, partial(_read, size=model.size, keep=keep), images, ahead)
        segmented = _segment(model, read, batch_size)
        write = partial(_write, output=output, writers=writers, processing=how, model=model)
        rows = (_add_row(row, writers) for row in in_order(pool, write, segmented, ahead))
        yield from write_rows(rows, output.table_path)
    for name, writer in writers.items():
        if fault := _fault_of(name, writer.close):
            warn(fault)


def check_batch_size(batch_size: int) -> None:
    """Raise UserError unless the batch size is 1 or more."""
    if batch_size < 1:
        raise UserError(f"batch size {batch_size} is out of range; give 1 or more")


def _read(source: Source, size: int, keep: bool) -> _Read:
    try:
        return read_image(source, size, keep)
    except UserError as error:
        return _Unreadable(source, str(error))


def _segment(model: Model, images: Iterable[_Read], batch_size: int) -> Iterator[_Segmented]:
    stream = iter(images)
    while chunk := list(islice(stream, batch_size)):
        readable = [image for image in chunk if isinstance(image, CaseImage)]
        views = [image.view for image in readable]
        found = iter(segment_images(model, [one.network_input for one in readable], views.__getitem__))
        yield from ((image, next(found)) if isinstance(image, CaseImage) else image for image in chunk)


def _write(
    segmented: _Segmented, output: Output, writers: Writers, processing: Processing, model: Model
) -> Row:
    if isinstance(segmented, _Unreadable):
        return Row(segmented.source.name, status="failed", error=segmented.reason)
    image, segmentation = segmented
    with large_in_turn(image.height * image.width):
        try:
            result = analyse(image, segmentation, model, processing)
        except UserError as error:
            return Row(image.name, status="failed", error=str(error))
        save_image(mask_image(result.mask), output.masks / f"{image.stem}.png")
        row = row_of(result)
        for name, writer in writers.items():
            row = _with_fault(row, _fault_of(name, partial(writer.write, result)))
    return row


def _add_row(row: Row, writers: Writers) -> Row:
    for name, writer in writers.items():
        row = _with_fault(row, _fault_of(name, partial(writer.add_row, row)))
    return row


def _with_fault(row: Row, fault: str) -> Row:
    return row.with_fault(fault) if fault else row


def _fault_of(name: str, work: Callable[[], None]) -> str:
    """Run a step of a writer and return its error message, empty without an error."""
    try:
        work()
    except UserError as error:
        return f"{name}: {error}"
    except Exception as error:  # an error in one output must not stop the others
        return f"{name}: {type(error).__name__}: {error}"
    return ""
