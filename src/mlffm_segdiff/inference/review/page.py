"""The page of all cases, written as they come."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.inference.quality import FLAGS
from mlffm_segdiff.inference.review.card import Card, card_html, words
from mlffm_segdiff.inference.table import COLUMNS, Row

Add = Callable[[Card], None]
Doubt = tuple[bool, float, str]
Place = tuple[Doubt, int, int]

MARKS = ("failed", *FLAGS)


def doubt_order(row: Row) -> Doubt:
    """Return what cases are sorted by: files that failed first, then the least certain."""
    return (not row.failed, row.certainty or 0.0, row.image)


@contextmanager
def review_page(path: Path) -> Iterator[Add]:
    """Give the function that adds a case; the page appears at `path` when the block ends well, or not at all.

    Cases wait in a temporary file; of each only its place there is kept in memory. Raises UserError where the
    page cannot be written.
    """
    with TemporaryFile("w+b") as waiting, atomic_write(path) as temporary:
        places: list[Place] = []

        def add(card: Card) -> None:
            start = waiting.tell()
            length = waiting.write(card_html(card, len(places) + 1).encode())
            places.append((doubt_order(card.row), start, length))

        yield add
        head, tail = _frame(len(places))
        with temporary.open("wb") as page:
            page.write(head.encode())
            _copy_sorted(waiting, places, page)
            page.write(tail.encode())


def _copy_sorted(waiting: IO[bytes], places: list[Place], page: IO[bytes]) -> None:
    for _, start, length in sorted(places):
        waiting.seek(start)
        page.write(waiting.read(length))


def _frame(count: int) -> tuple[str, str]:
    """Return what stands before and after the cases. Style and script are let in by their hashes alone."""
    style, script = (_part(name) for name in ("page.css", "page.js"))
    marks = "".join(
        f'<label><input type="checkbox" name="mark" value="{mark}"> {words(mark)}</label>' for mark in MARKS
    )
    values = {
        "STYLE": style,
        "SCRIPT": script,
        "STYLE-HASH": _hash(style),
        "SCRIPT-HASH": _hash(script),
        "MARKS": marks,
        "COLUMNS": escape(",".join(COLUMNS)),
        "COUNT": f"{count} {'case' if count == 1 else 'cases'}",
    }
    page = _part("page.html")
    for name, value in values.items():
        page = page.replace(f"[[{name}]]", value)
    head, _, tail = page.partition("[[CASES]]")
    return head, tail


def _part(name: str) -> str:
    return (files("mlffm_segdiff.inference.review") / name).read_text(encoding="utf-8")


def _hash(part: str) -> str:
    return f"sha256-{b64encode(sha256(part.encode()).digest()).decode()}"
