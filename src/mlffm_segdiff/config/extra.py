"""Optional packages (extras) that a plain installation does not include."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlffm_segdiff.config.errors import UserError

DISTRIBUTION = "mlffm-segdiff"
ALL = "all"
"""The extra that contains the others."""
_OF_EXTRA = re.compile(r"""(?P<name>[\w.-]+)[^;]*;.*\bextra == ['"](?P<extra>[\w-]+)['"]""")


def pip_line(extra: str) -> str:
    """Return the command that installs an extra: from the project's folder, if it is installed from one."""
    source = json.loads(metadata.distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    if "dir_info" not in source:
        return f'pip install "{DISTRIBUTION}[{extra}]"'
    return f'pip install "{url2pathname(urlsplit(source["url"]).path)}[{extra}]"'


def extra_of(module: str) -> str | None:
    """Return the extra that brings a module which cannot be imported; of several the smallest; or None."""
    package = re.sub(r"[-_.]+", "-", module.partition(".")[0]).lower()
    having = {extra: packages for extra, packages in missing_packages().items() if package in packages}
    return min(having, key=lambda extra: len(having[extra]), default=None)


def missing_packages() -> dict[str, list[str]]:
    """Return the missing packages of each extra but ``all``; versions are not compared."""
    extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or ()
    missing: dict[str, list[str]] = {extra: [] for extra in extras if extra != ALL}
    for text in metadata.requires(DISTRIBUTION) or ():
        found = _OF_EXTRA.match(text)
        if found and found["extra"] != ALL and not is_installed(found["name"]):
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
        raise missing(error, extra) from error


def missing(error: ImportError, extra: str) -> UserError:
    """Return the error that says which package is missing and what installs it."""
    package = error.name.partition(".")[0] if error.name else error
    return UserError(f"{package} is not installed; run: {pip_line(extra)}")
