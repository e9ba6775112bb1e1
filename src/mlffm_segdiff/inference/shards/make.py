"""Makes a shard from its images: the one function that every engine runs."""

import json
import re
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import sha256

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.files.atomic import atomic_write
from mlffm_segdiff.files.names import utf8_text
from mlffm_segdiff.inference.analysis import Processing, analyse, missing_estimates, require_supported
from mlffm_segdiff.inference.outputs.geojson import geojson
from mlffm_segdiff.inference.outputs.image_file import mask_png
from mlffm_segdiff.inference.outputs.journal import Record
from mlffm_segdiff.inference.outputs.predictions import Cell, Row, row_of, row_values
from mlffm_segdiff.inference.pool import in_order, result_memory
from mlffm_segdiff.inference.predict import Segmented, ToSegment, failed_record, segment_stream, settings_text
from mlffm_segdiff.inference.prepared import PreparedModel
from mlffm_segdiff.inference.reading.case_image import read_unless_found
from mlffm_segdiff.inference.reading.image_source import Source, read_source
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.inference.shards.plan import Shard, ShardOptions
from mlffm_segdiff.inference.shards.shard_file import ShardRow, read_rows, shard_writer

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""Of an object in memory, as some libraries' messages name it; it differs from run to run."""


def shard_settings(model: PreparedModel, options: ShardOptions) -> str:
    """Return all that the results of an image depend on besides the image.

    Args:
        model: Model that segments the images.
        options: Options of the plan.

    Returns:
        Settings as text; shards with the same text and images have the same results.

    Raises:
        UserError: The weights are from no file, so that it is unknown, or the level of intervals is not
            calibrated.
    """
    if not model.identity:
        raise UserError("shards need weights from a file or the hub; save them and give their folder")
    require_supported(model, options.processing)
    return settings_text(model, options.processing, options.batch_size)


def describe(model: PreparedModel, options: ShardOptions) -> tuple[str, str]:
    """Return `shard_settings` and `missing_estimates`."""
    return shard_settings(model, options), missing_estimates(model, options.processing)


def make_shard(shard: Shard, model: PreparedModel, options: ShardOptions, threads: int) -> bool:
    """Write a shard unless it is finished; return whether it was written.

    The file appears complete or not at all. Its bytes depend on the content of the images, their sources and
    the settings only. A shard is finished if its file is there, its images still have the content that it was
    made from. An image that failed for lack of memory or of a package, or could not be read, is tried again.

    Args:
        shard: Shard from `plan_shards`.
        model: Model that segments the images.
        options: Options of the plan.
        threads: Number of threads that read and encode.
    """
    with ThreadPoolExecutor(threads) as pool:
        if _is_finished(shard, pool, threads):
            return False
        with atomic_write(shard.path) as temporary, shard_writer(temporary) as add:
            for row in _rows(shard, model, options, pool, threads):
                add(row)
    return True


def _is_finished(shard: Shard, pool: ThreadPoolExecutor, ahead: int) -> bool:
    try:
        known = [(row["source"], row["sha256"]) for row in read_rows(shard.path)]
    except (OSError, ValueError, KeyError, tarfile.TarError):
        return False
    if [source for source, _ in known] != [utf8_text(str(source)) for source in shard.sources]:
        return False
    digests = in_order(pool, _digest, shard.sources, ahead)
    return all(found == old for (_, old), found in zip(known, digests, strict=True))


def _rows(
    shard: Shard, model: PreparedModel, options: ShardOptions, pool: ThreadPoolExecutor, threads: int
) -> Iterator[ShardRow]:
    ahead = options.batch_size + threads
    images = in_order(pool, partial(_read, size=model.size), shard.sources, ahead)
    segmented = segment_stream(images, model, options.batch_size)
    finish = partial(_finish, model=model, processing=options.processing)
    for key, (source, row) in enumerate(
        zip(shard.sources, in_order(pool, finish, segmented, ahead), strict=True), shard.first
    ):
        yield replace(row, key=key, values={"source": utf8_text(str(source)), **row.values})


def _read(source: Source, size: int) -> Record | ToSegment:
    digest = ""

    def note(data: bytes) -> None:
        nonlocal digest
        digest = sha256(data).hexdigest()

    try:
        image = read_unless_found(source, size, keep=False, find=note)
    except Exception as error:  # a bad image is a row
        return _failure(source.name, error, str(source), digest)
    assert image is not None
    return ToSegment(digest, image)


def _failure(name: str, error: Exception, shown: str, digest: str) -> Record:
    """Return a failed record; without the digest if memory or a package lacked, so that it is tried again."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ImportError | MemoryError):
        cause = cause.__cause__
    return failed_record(name, error, shown, digest if cause is None else "")


def _finish(case: Record | Segmented, model: PreparedModel, processing: Processing) -> ShardRow:
    """Return the row of an image without its key and source."""
    if isinstance(case, Record):
        return _failed(case)
    image = case.image
    with result_memory(image.height * image.width):
        try:
            result = analyse(image, case.segmentation, model, processing)
        except Exception as error:
            return _failed(_failure(image.name, error, image.name, case.key))
        return ShardRow(0, *values_and_contours(case.key, result), mask_png(result.mask))


def values_and_contours(digest: str, result: CaseResult) -> tuple[dict[str, Cell], str]:
    """Return the values and the contours (GeoJSON) of a segmented image, as a row of a shard has them.

    Args:
        digest: SHA-256 of the content of the image file.
        result: Result of the image.
    """
    return _values(digest, row_of(result)), json.dumps(geojson(result.mask, result.image.name))


def _failed(record: Record) -> ShardRow:
    return ShardRow(0, _values(record.key, replace(record.row, error=ADDRESS.sub("", record.row.error))))


def _values(digest: str, row: Row) -> dict[str, Cell]:
    return {"sha256": digest, **row_values(row)}


def _digest(source: Source) -> str:
    try:
        return sha256(read_source(source)).hexdigest()
    except UserError:
        return ""
