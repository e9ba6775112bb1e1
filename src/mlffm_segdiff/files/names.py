"""Names of files as text: any bytes but / and NUL, so that none may control a terminal or break a table."""

import re

_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"  # C0, C1, bidi, bytes
)


def utf8_text(text: str) -> str:
    """Return a text with backslashes in place of the bytes of file names in another encoding."""
    return text.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    r"""Return one line of text with an escape such as \x1b for each character that controls a terminal."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)
