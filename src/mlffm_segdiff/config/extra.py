"""Packages that only some work needs, which a plain installation lacks."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlffm_segdiff.config.errors import UserError


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Raise UserError, which says what to install, where the block's imports fail.

    extra: the group of ``pyproject.toml`` that has the package.
    """
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"{error.name or error} is not installed; run in the project's folder: "
            f"pip install -c constraints.txt '.[{extra}]'"
        ) from error
