"""Optional packages (extras) that a plain installation does not include."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from mlffm_segdiff.config.errors import UserError

DISTRIBUTION = "mlffm-segdiff"
_OF_EXTRA = re.compile(r"""(?P<name>[\w.-]+)[^;]*;.*\bextra == ['"](?P<extra>[\w-]+)['"]""")


def pip_line(extra: str) -> str:
    """Return the command that installs an extra, for the project's folder."""
    return f"pip install -c constraints.txt '.[{extra}]'"


def missing_packages() -> dict[str, list[str]]:
    """Return the missing packages of each extra; versions are not compared."""
    extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or ()
    missing: dict[str, list[str]] = {extra: [] for extra in extras}
    for text in metadata.requires(DISTRIBUTION) or ():
        found = _OF_EXTRA.match(text)
        if found and not is_installed(found["name"]):
            missing[found["extra"]].append(found["name"])
    return missing


def is_installed(package: str) -> bool:
    """Return whether a distribution package is installed, in any version."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Turn a failed import in the block into a UserError that says what to install.

    Args:
        extra: Optional dependency group of ``pyproject.toml`` with the package.
    """
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"{error.name or error} is not installed; run in the project's folder: {pip_line(extra)}"
        ) from error
