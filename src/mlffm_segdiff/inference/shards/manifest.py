"""The manifest of a job: each shard with its SHA-256, and the table of all images."""

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Self

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.files.atomic import atomic_write
from mlffm_segdiff.inference.outputs.parquet import require_parquet
from mlffm_segdiff.inference.outputs.predictions import table_writer
from mlffm_segdiff.inference.shards.plan import Shard
from mlffm_segdiff.inference.shards.shard_file import read_rows, row_columns

MANIFEST = "manifest.jsonl"
FIRST = ("shard", "source", "sha256")
"""The first columns of the table."""


@dataclass(frozen=True)
class Totals:
    """Numbers of a job: shards, images, and images without a mask by their status."""

    shards: int = 0
    images: int = 0
    failed: int = 0
    refused: int = 0

    def with_shard(self, images: int, failed: int, refused: int) -> Self:
        """Return the numbers with those of one more shard."""
        return type(self)(self.shards + 1, self.images + images, self.failed + failed, self.refused + refused)


@dataclass(frozen=True)
class _Line:
    shard: str
    sha256: str
    bytes: int
    images: int
    failed: int
    refused: int


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
            statuses: Counter[str] = Counter()
            for row in read_rows(shard.path):
                add({name: row.get(name, shard.path.name) for name in columns})
                statuses[row["status"]] += 1
            with shard.path.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
            counts = len(shard.sources), statuses["failed"], statuses["refused"]
            line = _Line(shard.path.name, digest, shard.path.stat().st_size, *counts)
            lines.write(json.dumps(asdict(line)) + "\n")
            totals = totals.with_shard(*counts)
    return totals


def is_of_a_job(path: Path) -> bool:
    """Return whether a file is the manifest or the table of a job, by how it starts or its first columns."""
    with suppress(OSError, ValueError, UserError):  # missing, damaged, or without pyarrow unknown
        if path.suffix == ".parquet":
            require_parquet()
            from pyarrow import parquet

            return tuple(parquet.read_schema(path).names[: len(FIRST)]) == FIRST
        start = f"{','.join(FIRST)}," if path.suffix == ".csv" else '{"shard": '
        with path.open("rb") as file:
            return file.read(len(start)) == start.encode()
    return False
