"""The files of shards, the same bytes for the same rows: no times, no owners, a fixed order."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlffm_segdiff.inference.outputs.parquet import parquet_writer, require_parquet
from mlffm_segdiff.inference.outputs.predictions import Cell, column_types


@dataclass(frozen=True)
class ShardRow:
    """Row of a shard, for one image.

    Attributes:
        key: Number of the image in the whole list, which names its members of a tar file.
        values: Values by `row_columns`: source, SHA-256 of its content (empty if it cannot be read), and the
            columns of the table of predictions.
        contours: The mask's outlines as GeoJSON; None for a failed image.
        mask: The mask as PNG; None for a failed image.
    """

    key: int
    values: Mapping[str, Cell]
    contours: str | None = None
    mask: bytes | None = None


def row_columns() -> dict[str, type]:
    """Return the type of each column of a shard's rows."""
    return {"source": str, "sha256": str, **column_types()}


@contextmanager
def shard_writer(path: Path) -> Iterator[Callable[[ShardRow], None]]:
    """Yield the function that adds a row to a new shard.

    A tar file has up to three members per image: ``KEY.json`` with the values, ``KEY.geojson`` with the
    contours and ``KEY.mask.png``, in the layout of WebDataset; a Parquet table has a row.

    Args:
        path: Ends in .tar or .parquet.
    """
    if path.suffix == ".parquet":
        columns = {"key": int, **row_columns(), "contours": str, "mask": bytes}
        with parquet_writer(path, columns) as add:
            yield lambda row: add({"key": row.key, **row.values, "contours": row.contours, "mask": row.mask})
    else:
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT, encoding="utf-8") as tar:
            yield lambda row: _add_members(tar, row)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the values of each row of a shard by `row_columns`, in order.

    Raises:
        OSError, ValueError, tarfile.TarError: It is damaged.
    """
    if path.suffix == ".parquet":
        require_parquet()
        from pyarrow import parquet

        for batch in parquet.ParquetFile(path).iter_batches(columns=list(row_columns())):
            yield from batch.to_pylist()
    else:
        with tarfile.open(path, "r:", encoding="utf-8") as tar:
            for info in tar:
                if info.name.endswith(".json") and (file := tar.extractfile(info)) is not None:
                    yield json.load(file)


def _add_members(tar: tarfile.TarFile, row: ShardRow) -> None:
    members = {
        "json": json.dumps(row.values).encode(),
        "geojson": None if row.contours is None else row.contours.encode(),
        "mask.png": row.mask,
    }
    for extension, content in members.items():
        if content is not None:
            info = tarfile.TarInfo(f"{row.key:09}.{extension}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
