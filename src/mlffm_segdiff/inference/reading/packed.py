"""Images in shards of a data set: tar files in the layout of WebDataset, and Parquet tables."""

import tarfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.data.case import MAX_BYTES
from mlffm_segdiff.inference.reading.remote import MAX_REMOTE_BYTES, RemoteFile, open_file, read_range

IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "bytes")
"""Columns of a Parquet table that may hold encoded images; the first that is there does."""
_READING = Lock()


@dataclass(frozen=True)
class TarMember:
    """A member of an uncompressed tar file, read without reading the file up to it.

    Attributes:
        archive: The tar file.
        member: Name of the member.
        start: Position of its content in the tar file, in bytes.
        length: Length of its content in bytes.
    """

    archive: Path | RemoteFile
    member: str
    start: int
    length: int

    @property
    def name(self) -> str:
        """The member's name without folders."""
        return PurePosixPath(self.member).name

    def __str__(self) -> str:
        return f"{self.archive}:{self.member}"

    def read(self) -> bytes:
        """Return the content. Raises UserError if it cannot be read, or is too large."""
        _require_size(self.length, self.archive, str(self))
        return self.first_bytes(self.length)

    def size(self) -> int:
        """Return the size of the content in bytes, as `Entry.size`."""
        return self.length

    def first_bytes(self, count: int) -> bytes:
        """Return the first bytes of the content. Raises UserError if it cannot be read."""
        size = min(count, self.length)
        if isinstance(self.archive, RemoteFile):
            return read_range(self.archive.url, str(self), self.start, size)
        try:
            with self.archive.open("rb") as file:
                file.seek(self.start)
                return file.read(size)
        except OSError as error:
            raise UserError(
                f"{self} cannot be read ({reason_of(error)}); restore or download it again"
            ) from error


@dataclass(frozen=True)
class ParquetImage:
    """An encoded image in a row of a Parquet table.

    Attributes:
        table: The Parquet file.
        column: Name of the column with the images, as bytes, or as a struct with a field ``bytes``.
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
        """Return the encoded image. Raises UserError if it cannot be read, or is too large."""
        with _READING:  # otherwise all threads that start with a row group would read it
            column = _column(self.table, self.column, self.group, _version(self.table))
        value = column[self.row].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise UserError(f"{self} has no image; remove the row, or store the file's bytes")
        _require_size(len(data), self.table, str(self))
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
        with open_file(archive) as file, tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as tar:
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
        UserError: It is not a Parquet table, has no such column, or the images of a row group, which are
            read together, have over MAX_BYTES.
    """
    with _parquet(table) as found:
        column = next((name for name in IMAGE_COLUMNS if name in found.schema_arrow.names), None)
        groups = [found.metadata.row_group(group) for group in range(found.num_row_groups)]
    if column is None:
        raise UserError(f"{table} has no column of images; name it {' or '.join(IMAGE_COLUMNS)}")
    images: list[ParquetImage] = []
    for number, group in enumerate(groups):
        if _bytes_of(group, column) > MAX_BYTES:
            limit = f"{MAX_BYTES / 2**30:g} GiB"
            raise UserError(
                f"{table} has over {limit} of images in a row group; write it with row_group_size=100"
            )
        first = len(images)
        images += [ParquetImage(table, column, number, row, first + row) for row in range(group.num_rows)]
    return images, ()


def _bytes_of(group: Any, column: str) -> int:
    """Return the uncompressed size of a column, or of all fields of a struct, in a row group."""
    parts = map(group.column, range(group.num_columns))
    return sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] == column)


def _require_size(size: int, place: Path | RemoteFile, name: str) -> None:
    """Raise UserError if an image in a shard is larger than an image file at the same place may be."""
    most = MAX_REMOTE_BYTES if isinstance(place, RemoteFile) else MAX_BYTES
    if size > most:
        raise UserError(
            f"{name} is over {most / 2**20:g} MiB; save it as PNG or JPEG, or crop it to the lesion"
        )


def _version(table: Path | RemoteFile) -> tuple[int, int] | None:
    """Return the time of modification and the size of a local file; None for a remote or missing one."""
    with suppress(OSError):
        if isinstance(table, Path):
            found = table.stat()
            return found.st_mtime_ns, found.st_size
    return None


@lru_cache(maxsize=2)
def _column(table: Path | RemoteFile, column: str, group: int, version: object) -> Any:
    """Return the values of a row group; that of neighbouring rows is read once from each version."""
    del version
    with _parquet(table) as found:
        return found.read_row_group(group, [column]).column(0)


def _is_image(field: Any) -> bool:
    return field.physical_type == "BYTE_ARRAY" and field.path.split(".")[0] in IMAGE_COLUMNS


@contextmanager
def _parquet(table: Path | RemoteFile) -> Iterator[Any]:
    with needs_extra("table"):
        from pyarrow import ArrowException, parquet
    try:
        with open_file(table) as file:
            found = parquet.ParquetFile(file)
            fields = map(found.schema.column, range(len(found.schema)))
            images = [field.path for field in fields if _is_image(field)]  # one for many rows: once in memory
            yield parquet.ParquetFile(file, metadata=found.metadata, read_dictionary=images)
    except (OSError, ArrowException) as error:
        raise UserError(f"{table} cannot be read as a Parquet table ({error}); make it again") from error
