"""The exceptions for invalid input, and for runs that stop half-way."""

from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 1000
"""Characters of a message: values that it quotes from a damaged file may be of any length."""


class UserError(Exception):
    """Invalid input: one line that names the problem, where it is, and how to fix it.

    The fix follows the last semicolon of the message. Of a very long message, the middle is left out.
    """

    def __init__(self, message: str) -> None:
        if len(message) > LONGEST:
            message = f"{message[: LONGEST // 2]} ... {message[5 - LONGEST // 2 :]}"
        super().__init__(message)

    @property
    def problem(self) -> str:
        """The message without the fix, or all of it if it has none."""
        return str(self).rpartition("; ")[0] or str(self)

    @property
    def fix(self) -> str:
        """How to fix the problem, or the whole message if it names no fix."""
        return str(self).rpartition("; ")[2]


class StoppedError(UserError):
    """A run that stopped after it had written some of its files."""


def one_line(error: BaseException) -> str:
    """Return the first line of an error with its type; of a UserError only the message."""
    message = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, UserError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def reason_of(error: Exception) -> str:
    """Return why something failed in one line: of a system error only its text, without number and path."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


@contextmanager
def partly_written() -> Iterator[None]:
    """Raise a UserError of the block as StoppedError: files have been written before."""
    try:
        yield
    except StoppedError:
        raise
    except UserError as error:
        raise StoppedError(str(error)) from error
