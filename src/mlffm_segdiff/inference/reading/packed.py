"""Images in shards of a data set: tar files in the layout of WebDataset, and Parquet tables."""

import tarfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.inference.reading.remote import RemoteFile, open_url, read_range

IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "bytes")
"""Columns of a Parquet table that may hold encoded images; the first that is there does."""


@dataclass(frozen=True)
class TarMember:
    """A member of an uncompressed tar file, read without reading the file up to it.

    Attributes:
        archive: The tar file.
        member: Name of the member.
        start: Position of its content in the tar file, in bytes.
        size: Of its content, in bytes.
    """

    archive: Path | RemoteFile
    member: str
    start: int
    size: int

    @property
    def name(self) -> str:
        """The member's name without folders."""
        return PurePosixPath(self.member).name

    def __str__(self) -> str:
        return f"{self.archive}:{self.member}"

    def read(self) -> bytes:
        """Return the content. Raises UserError if it cannot be read."""
        if isinstance(self.archive, RemoteFile):
            return read_range(self.archive.url, str(self), self.start, self.size)
        try:
            with self.archive.open("rb") as file:
                file.seek(self.start)
                return file.read(self.size)
        except OSError as error:
            raise UserError(f"{self} cannot be read ({error}); restore or download it again") from error


@dataclass(frozen=True)
class ParquetImage:
    """An encoded image in a row of a Parquet table.

    Attributes:
        table: The Parquet file.
        column: With the images, as bytes, or as a struct with a field ``bytes``.
        group: Number of the row group.
        row: Number of the row in its group.
        number: Number of the row in the table.
    """

    table: Path | RemoteFile
    column: str
    group: int
    row: int
    number: int

    @property
    def name(self) -> str:
        """The table's name with the number of the row."""
        return f"{PurePosixPath(self.table.name).stem}-{self.number:09}"

    def __str__(self) -> str:
        return f"{self.table}:{self.number:09}"

    def read(self) -> bytes:
        """Return the encoded image. Raises UserError if it cannot be read."""
        value = _column(self.table, self.column, self.group)[self.row].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise UserError(f"{self} has no image; remove the row, or store the file's bytes")
        return data


def list_tar(
    archive: Path | RemoteFile, extensions: Collection[str]
) -> tuple[Sequence[TarMember], Sequence[TarMember]]:
    """Return the images of a tar file, and its other members, sorted by name.

    An image is a member ``KEY.EXTENSION``: what follows the first dot of its name is one of the extensions,
    so that ``KEY.mask.png`` is not one.

    Raises:
        UserError: It is not an uncompressed tar file.
    """
    images: list[TarMember] = []
    others: list[TarMember] = []
    try:
        with _opened(archive) as file, tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as tar:
            for info in tar:
                if info.isfile() and not PurePosixPath(info.name).name.startswith("."):
                    member = TarMember(archive, info.name, info.offset_data, info.size)
                    kind = f".{member.name.partition('.')[2].lower()}"
                    (images if kind in extensions else others).append(member)
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"{archive} is not an uncompressed tar file ({error}); make it again") from error
    return sorted(images, key=str), sorted(others, key=str)


def list_parquet(table: Path | RemoteFile) -> tuple[Sequence[ParquetImage], Sequence[ParquetImage]]:
    """Return the images of a Parquet table, one a row, by the first column that is one of IMAGE_COLUMNS.

    Raises:
        UserError: It is not a Parquet table, or has no such column.
    """
    with _parquet(table) as found:
        column = next((name for name in IMAGE_COLUMNS if name in found.schema_arrow.names), None)
        counts = [found.metadata.row_group(group).num_rows for group in range(found.num_row_groups)]
    if column is None:
        raise UserError(f"{table} has no column of images; name it {' or '.join(IMAGE_COLUMNS)}")
    images, number = [], 0
    for group, count in enumerate(counts):
        images += [ParquetImage(table, column, group, row, number + row) for row in range(count)]
        number += count
    return images, ()


@lru_cache(maxsize=2)
def _column(table: Path | RemoteFile, column: str, group: int) -> Any:
    """Return the values of a row group; that of neighbouring rows is read once."""
    with _parquet(table) as found:
        return found.read_row_group(group, [column]).column(0)


@contextmanager
def _parquet(table: Path | RemoteFile) -> Iterator[Any]:
    with needs_extra("table"):
        from pyarrow import ArrowException, parquet
    try:
        with _opened(table) as file:
            yield parquet.ParquetFile(file)
    except (OSError, ArrowException) as error:
        raise UserError(f"{table} cannot be read as a Parquet table ({error}); make it again") from error


@contextmanager
def _opened(file: Path | RemoteFile) -> Iterator[IO[bytes]]:
    with open_url(file.url, str(file)) if isinstance(file, RemoteFile) else file.open("rb") as opened:
        yield opened
