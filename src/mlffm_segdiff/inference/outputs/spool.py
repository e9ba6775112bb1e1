"""Texts kept in a temporary file, so that memory does not grow with their number."""

import weakref
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import Any


class Spool:
    """Texts with a sort key each; only the keys and positions stay in memory."""

    def __init__(self) -> None:
        self._file = TemporaryFile("w+b")  # noqa: SIM115
        self._places: list[tuple[Any, int, int]] = []
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, text: str, key: Any = 0) -> None:
        """Keep a text; of equal keys the first comes first."""
        start = self._file.seek(0, 2)
        self._places.append((key, start, self._file.write(text.encode())))

    def separated(self) -> Iterator[str]:
        """Yield the texts with a comma and a new line between them, as in a JSON list."""
        for number, text in enumerate(self):
            yield f",\n{text}" if number else text

    def __iter__(self) -> Iterator[str]:
        """Yield the texts in the order of their keys."""
        for _, start, length in sorted(self._places):
            self._file.seek(start)
            yield self._file.read(length).decode()
