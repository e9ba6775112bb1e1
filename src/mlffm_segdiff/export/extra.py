"""The packages that exporting needs, which a plain installation lacks."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlffm_segdiff.config.errors import UserError


@contextmanager
def needs_extra() -> Iterator[None]:
    """Raise UserError, which says what to install, where the block's imports fail."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"{error.name or error} is not installed; run in the project's folder: "
            "pip install -c constraints.txt '.[export]'"
        ) from error
