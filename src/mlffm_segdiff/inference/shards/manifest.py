"""The manifest of a job: each shard with its SHA-256, and the table of all images."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Self

from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.inference.outputs.predictions import table_writer
from mlffm_segdiff.inference.shards.plan import Shard
from mlffm_segdiff.inference.shards.shard_file import read_rows, row_columns

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Totals:
    """Numbers of a job: shards, images, and images without a mask."""

    shards: int = 0
    images: int = 0
    failed: int = 0

    def with_shard(self, images: int, failed: int) -> Self:
        """Return the numbers with those of one more shard."""
        return type(self)(self.shards + 1, self.images + images, self.failed + failed)


@dataclass(frozen=True)
class _Line:
    shard: str
    sha256: str
    bytes: int
    images: int
    failed: int


def write_manifest(shards: Iterable[Shard], manifest: Path, table: Path) -> Totals:
    """Write a line of JSON for each shard, and a row for each image, from the shards' files.

    Args:
        shards: All of the job; their files are finished.
        manifest: Path of the lines.
        table: Ends in .parquet, or in anything else for CSV; its columns are ``shard`` and `row_columns`.

    Raises:
        UserError: They cannot be written.
    """
    totals = Totals()
    columns = {"shard": str, **row_columns()}
    with (
        atomic_write(manifest) as unfinished,
        unfinished.open("w", encoding="utf-8") as lines,
        atomic_write(table) as temporary,
        table_writer(temporary, columns) as add,
    ):
        for shard in shards:
            failed = 0
            for row in read_rows(shard.path):
                add({name: row.get(name, shard.path.name) for name in columns})
                failed += row["status"] == "failed"
            with shard.path.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
            size, count = shard.path.stat().st_size, len(shard.sources)
            lines.write(json.dumps(asdict(_Line(shard.path.name, digest, size, count, failed))) + "\n")
            totals = totals.with_shard(count, failed)
    return totals
