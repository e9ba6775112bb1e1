"""A table as Parquet, written row by row."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlffm_segdiff.config.extra import needs_extra

GROUP = 1000


def require_parquet() -> None:
    """Raise UserError unless pyarrow is installed."""
    with needs_extra("table"):
        import pyarrow  # noqa: F401


@contextmanager
def parquet_writer(
    path: Path, columns: Mapping[str, type]
) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Yield the function that adds a row, a mapping of columns to values, to a new Parquet file.

    Rows are written GROUP at a time, so memory does not grow with them.

    Args:
        path: Parquet file to write.
        columns: Type of each column by name: str, int, float or bytes; a value None is null.

    Raises:
        UserError: pyarrow is not installed.
    """
    require_parquet()
    import pyarrow as arrow
    from pyarrow import parquet

    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), bytes: arrow.binary()}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    waiting: list[dict[str, object]] = []
    with parquet.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(arrow.Table.from_pylist(waiting, schema))
            waiting.clear()

        def add(row: Mapping[str, object]) -> None:
            waiting.append({name: row[name] for name in columns})
            if len(waiting) == GROUP:
                flush()

        yield add
        flush()
