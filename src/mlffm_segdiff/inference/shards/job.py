"""Predictions of many images as shards: planned, made by an engine, and listed in a manifest."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol, get_args

from mlffm_segdiff.config.errors import partly_written
from mlffm_segdiff.files.atomic import sweep_unfinished
from mlffm_segdiff.files.claim import claimed_results
from mlffm_segdiff.files.results_folder import require_own
from mlffm_segdiff.inference.outputs.parquet import require_parquet
from mlffm_segdiff.inference.outputs.writers import TableFormat
from mlffm_segdiff.inference.pool import helper_count
from mlffm_segdiff.inference.prepared import PreparedModel
from mlffm_segdiff.inference.reading.image_source import Source
from mlffm_segdiff.inference.shards.make import describe, make_shard
from mlffm_segdiff.inference.shards.manifest import MANIFEST, Totals, is_of_a_job, write_manifest
from mlffm_segdiff.inference.shards.plan import SHARD_NAME, Shard, ShardOptions, plan_shards


class ShardEngine(Protocol):
    """A way to make shards; all engines make the same bytes."""

    def describe(self, options: ShardOptions) -> tuple[str, str]:
        """Return `describe` of the model that makes the shards."""

    def make(self, shards: Sequence[Shard], options: ShardOptions, settings: str) -> Iterator[int]:
        """Make the shards that are not finished; yield the number of images of each finished one.

        Raises:
            UserError: A shard cannot be written, or its settings would be other ones.
        """


class LocalEngine:
    """Makes shards in this process, one after another.

    Args:
        model: Model that segments the images.
    """

    def __init__(self, model: PreparedModel) -> None:
        self._model = model

    def describe(self, options: ShardOptions) -> tuple[str, str]:
        """Return `describe` of the model."""
        return describe(self._model, options)

    def make(self, shards: Sequence[Shard], options: ShardOptions, settings: str) -> Iterator[int]:
        """Make the shards. See `ShardEngine.make`."""
        del settings
        for shard in shards:
            make_shard(shard, self._model, options, helper_count(self._model.threads))
            yield len(shard.sources)


def predict_shards(
    images: Iterable[Source],
    engine: ShardEngine,
    options: ShardOptions,
    table: TableFormat = "csv",
    progress: Callable[[int, int], object] = lambda *_: None,
    warn: Callable[[str], object] = warnings.warn,
) -> Totals:
    """Segment images into shards, and write ``manifest.jsonl`` and the table of predictions after the last.

    A killed job is resumed by calling this again, also with another engine: finished shards are kept,
    unfinished ones are made whole. An image that cannot be read is a row with status ``failed``. Shards of an
    earlier job that are not in this one, and its table in another format, are removed when this one is
    complete.

    Args:
        images: Images, which are sorted by their sources before they are divided into shards.
        engine: Engine that makes the shards.
        options: Options of the shards.
        table: Format of the table of predictions.
        progress: Receives the number of images in finished shards, and of all.
        warn: Receives why results have no expected Dice or no intervals; see `missing_estimates`.

    Raises:
        UserError: The folder has files of others, or another command is using it, or pyarrow is not
            installed; nothing was written.
        StoppedError: Shards cannot be written.
    """
    ordered = sorted(images, key=str)
    if "parquet" in {table, options.format}:
        require_parquet()
    results = {name: options.folder / name for name in (MANIFEST, f"predictions.{table}")}
    require_own(options.folder, results, {name for name, path in results.items() if is_of_a_job(path)})
    settings, lacking = engine.describe(options)
    if lacking:
        warn(lacking)
    shards = list(plan_shards(ordered, options, settings))
    with claimed_results(options.folder), partly_written():
        sweep_unfinished(options.folder)
        sweep_unfinished(options.shards)
        done = 0
        for count in engine.make(shards, options, settings):
            done += count
            progress(done, len(ordered))
        totals = write_manifest(shards, *results.values())
        _remove_others(options, {shard.path.name for shard in shards}, table)
    return totals


def _remove_others(options: ShardOptions, names: set[str], table: TableFormat) -> None:
    """Remove the shards of earlier jobs, and their table in another format."""
    known = filter(SHARD_NAME.fullmatch, os.listdir(options.shards))  # noqa: PTH208
    shards = [options.shards / name for name in known if name not in names]
    tables = [options.folder / f"predictions.{kind}" for kind in get_args(TableFormat) if kind != table]
    for path in (*shards, *filter(is_of_a_job, tables)):
        with suppress(OSError):
            path.unlink()
