"""Files to masks, as a stream: while the network works, threads read the next and write the last images."""

import errno
import json
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import islice
from numbers import Integral
from typing import TypeVar

import numpy as np

from mlffm_segdiff.config.errors import UserError, partly_written
from mlffm_segdiff.config.extra import DISTRIBUTION
from mlffm_segdiff.data.image_formats import MAX_PIXELS
from mlffm_segdiff.files.claim import claimed_results
from mlffm_segdiff.inference.analysis import OutlierError, Processing, analyse, require_supported
from mlffm_segdiff.inference.outputs.image_file import mask_image, save_image
from mlffm_segdiff.inference.outputs.journal import Journal, Record
from mlffm_segdiff.inference.outputs.predictions import Row, row_of, write_rows
from mlffm_segdiff.inference.outputs.writers import (
    Output,
    Writer,
    case_files,
    make_writers,
    require_free_folders,
)
from mlffm_segdiff.inference.pool import helper_count, in_order, result_memory
from mlffm_segdiff.inference.prepared import PreparedModel
from mlffm_segdiff.inference.reading.case_image import CaseImage, read_unless_found
from mlffm_segdiff.inference.reading.image_source import Source, case_name
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.segmenters.network_output import NetworkOutput

NAME_ERRORS = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)

Result = TypeVar("Result")


@dataclass(frozen=True)
class ToSegment:
    """An image that the network has not seen; `key` is kept with it."""

    key: str
    image: CaseImage


@dataclass(frozen=True)
class Segmented:
    """An image with the network's output."""

    key: str
    image: CaseImage
    segmentation: NetworkOutput


@dataclass(frozen=True)
class _Run:
    """Shared state of the steps of a run; a `Record` among the images is of one that is done or failed."""

    model: PreparedModel
    output: Output
    writers: Mapping[str, Writer]
    processing: Processing
    journal: Journal
    most_pixels: int
    unfit: set[str] = field(default_factory=set)
    """Outputs that lack an image, so that their file for all images is not written."""

    def read(self, source: Source) -> Record | ToSegment:
        stem, key = case_name(source), ""

        def find(data: bytes) -> Record | None:
            nonlocal key
            key = self.journal.key_of(source.name, data)
            return self.journal.find(stem, key)

        keep = any(writer.needs_image for writer in self.writers.values())
        try:
            image = read_unless_found(source, self.model.size, keep, find, self.most_pixels)
        except Exception as error:  # one bad image must not stop the others
            self.journal.discard(stem)
            return failed_record(source.name, error, str(source))
        return image if isinstance(image, Record) else ToSegment(key, image)

    def write(self, case: Record | Segmented) -> Record:
        if isinstance(case, Record):
            return case
        image = case.image
        with result_memory(image.height * image.width):
            try:
                result = analyse(image, case.segmentation, self.model, self.processing)
            except Exception as error:
                return failed_record(image.name, error, image.name)
            try:
                save_image(mask_image(result.mask), self.output.mask_path(image.stem))
            except Exception as error:
                if isinstance(error, UserError) and not _is_name_error(error):
                    raise  # the next masks could not be written either
                return failed_record(image.name, error, image.name)
            return self._write_outputs(case.key, result)

    def _write_outputs(self, key: str, result: CaseResult) -> Record:
        row, kept = row_of(result), {}
        for name, writer in self.writers.items():
            kept[name], fault = _attempt(name, partial(writer.write, result))
            row = row.with_fault(fault)
        return Record(row, key, self.journal.digests(row.stem), kept)

    def add_row(self, record: Record) -> Row:
        self.journal.add(record)
        row, kept = record.row, record.kept or {}
        for name, writer in self.writers.items():
            if fault := _attempt(name, partial(writer.add_row, row, kept.get(name)))[1]:
                row = row.with_fault(fault)
                self.unfit.add(name)
        return row

    def rows(self, images: Sequence[Source], batch_size: int) -> Generator[Row, None, None]:
        """Read, segment and write images at the same time, and yield their rows in order."""
        helpers = helper_count(self.model.threads)
        ahead = batch_size + helpers  # one batch is read and one written while the network works on another
        with ThreadPoolExecutor(helpers) as pool:
            read = in_order(pool, self.read, images, ahead)
            segmented = segment_stream(read, self.model, batch_size)
            yield from map(self.add_row, in_order(pool, self.write, segmented, ahead))

    def close(self) -> Iterator[str]:
        """Write the files for all images, and yield the errors."""
        for name, writer in self.writers.items():
            if name in self.unfit:
                yield f"{name}: not written, because images are missing in it"
            elif fault := _attempt(name, writer.close)[1]:
                yield fault
        self.journal.finish()


def segment_stream(
    images: Iterable[Record | ToSegment], model: PreparedModel, batch_size: int
) -> Iterator[Record | Segmented]:
    """Pass images through the network in batches, in order; records of images that are done or failed stay.

    Args:
        images: Images to segment and records to pass on; a batch has consecutive ones.
        model: Model that segments them.
        batch_size: Images segmented at once.
    """
    stream = iter(images)
    while chunk := list(islice(stream, batch_size)):
        if not any(isinstance(one, ToSegment) for one in chunk):
            yield from (one for one in chunk if isinstance(one, Record))
            continue
        # Black images stand for those that are done: rounding depends on the size of the batch.
        readable = [one for one in chunk if isinstance(one, ToSegment) or not one.row.failed]
        images_of = [one.image if isinstance(one, ToSegment) else None for one in readable]
        black = np.zeros((model.size, model.size, 3), np.uint8)
        inputs = [black if image is None else image.network_input for image in images_of]
        views = [None if image is None else image.view for image in images_of]
        found = dict(zip(map(id, readable), model.segment(inputs, views.__getitem__), strict=True))
        for one in chunk:
            yield one if isinstance(one, Record) else Segmented(one.key, one.image, found[id(one)])


def predict_files(
    images: Sequence[Source],
    model: PreparedModel,
    output: Output,
    processing: Processing | None = None,
    batch_size: int = 8,
    warn: Callable[[str], object] = warnings.warn,
    skip_existing: bool = False,
    most_pixels: int = MAX_PIXELS,
) -> Generator[Row, None, None]:
    """Segment files, write masks and what `output` asks for, and yield the row of each image in order.

    An image that cannot be read gives a row with status ``failed``, an outlier that `processing` refuses one
    with status ``refused``, an output that cannot be written one with status ``incomplete``; none of them
    stops the run. Images and masks do not accumulate in memory. The table appears after the last image.

    The results of an earlier run in the folder are removed first, which its journal lists; other files stay.

    Args:
        images: Paths, or what `find_images` found; no two with the same stem.
        model: Model that segments them.
        output: Folder of the results and requested outputs.
        processing: How segmentations become masks, from which all outputs and measures are made.
        batch_size: Images segmented at once; changes the speed, and results only in the last digits.
        warn: Receives the error of an output that is one file for all images.
        skip_existing: Keep the results of images that an earlier run, perhaps a killed one, finished, if
            their content, the weights, all settings and the batch size are the same and the files are as they
            were written.
            All outputs are then as of a run over all images. Weights that are from no file are unknown, so
            nothing is kept.
        most_pixels: Largest image; a larger one fails.

    Raises:
        UserError: An output is unknown or impossible, or the level is not calibrated, or something that is
            not of an earlier run would be overwritten, or another command is using the folder; nothing was
            written.
        StoppedError: Masks or the table cannot be written.
    """
    check_batch_size(batch_size)
    how = processing or Processing()
    require_supported(model, how)
    writers = make_writers(output, model.sampling)
    require_free_folders(images, output, writers)
    journal = Journal(
        output.folder,
        {stem: case_files(stem, output, writers) for stem in map(case_name, images)},
        [output.table_path.name, *(name for writer in writers.values() for name in writer.run_files)],
        settings_text(model, how, batch_size, sorted(output.write), output.maps) if model.identity else "",
    )
    run = _Run(model, output, writers, how, journal, most_pixels)
    with claimed_results(output.folder):
        journal.start(skip_existing)
        with partly_written():
            with closing(run.rows(images, batch_size)) as rows:
                yield from write_rows(rows, output.table_path)
            for fault in run.close():
                warn(fault)


def check_batch_size(batch_size: int) -> None:
    """Raise UserError unless the batch size is a whole number of 1 or more."""
    if not isinstance(batch_size, Integral) or isinstance(batch_size, bool):
        raise UserError(f"batch size {batch_size!r} is not a whole number; give one without quotes")
    if batch_size < 1:
        raise UserError(f"batch size {batch_size} is out of range; give 1 or more")


def settings_text(model: PreparedModel, processing: Processing, batch_size: int, *outputs: object) -> str:
    """Return all that an image's results depend on, besides the image; ``outputs`` are JSON values."""
    quality = model.quality and model.quality.model_dump(mode="json")
    sets = model.outliers and {name: asdict(one) for name, one in model.outliers.sets.items()}
    agreement = model.agreement and model.agreement.model_dump(mode="json")
    machine = [str(model.device), model.precision, int(batch_size)]  # they decide how sums are rounded
    companions = [quality, sets, agreement]
    chosen = [model.sampling.model_dump(), model.size, *machine, *companions, asdict(processing)]
    return json.dumps([version(DISTRIBUTION), model.identity, *chosen, *outputs])


def failed_record(name: str, error: Exception, source: str, key: str = "") -> Record:
    """Return the record of an image without a mask.

    Args:
        name: File name of the image.
        error: What went wrong.
        source: Source of the image, as the message names it.
        key: Key to keep with the record.
    """
    reason = str(error) if isinstance(error, UserError) else f"{source}: {type(error).__name__}: {error}"
    refused = isinstance(error, OutlierError)
    return Record(Row(name, status="refused" if refused else "failed", error=reason), key)


def _is_name_error(error: UserError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in NAME_ERRORS


def _attempt(name: str, work: Callable[[], Result]) -> tuple[Result | None, str]:
    """Run a step of a writer; return its result and its error message, which is empty without an error."""
    try:
        return work(), ""
    except UserError as error:
        return None, f"{name}: {error}"
    except Exception as error:  # an error in one output must not stop the others
        return None, f"{name}: {type(error).__name__}: {error}"
