"""Tables as CSV text that spreadsheets show unchanged: no cell starts a formula.

The pages of `predict` and `serve` write their tables by the same rule (``csvCell`` in their scripts).
"""

import re
from collections.abc import Iterable

from mlffm_segdiff.files.names import utf8_text

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_QUOTED = re.compile(r'[",;\t\r\n]')


def guarded(text: str) -> str:
    """Return a text with an apostrophe before it if a spreadsheet would read it as a formula.

    Numbers such as -1.5 stay as they are.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unguarded(text: str) -> str:
    """Return the text that `guarded` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def csv_line(values: Iterable[object]) -> str:
    r"""Return a row with its line break, \n; None is an empty cell, texts are `guarded`."""
    return ",".join(map(_cell, values)) + "\n"


def csv_table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Format a table as CSV: a header, and a line for each row.

    Args:
        header: Names of the columns.
        rows: Values of each row, see `csv_line`.

    Returns:
        CSV text.
    """
    return "".join(map(csv_line, (header, *rows)))


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = utf8_text(guarded(value)) if isinstance(value, str) else str(value)
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
