"""Public names of a package that are imported on first use, so that importing the package is fast."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Build ``__getattr__`` and ``__dir__`` for a package (PEP 562).

    Args:
        package: ``__name__`` of the package.
        names: For each module, relative to the package, its public names, separated by spaces.

    Returns:
        The two functions, to be assigned in the package's ``__init__``. Getting a name raises UserError if a
        package of an extra is missing.
    """
    homes = {name: module for module, exported in names.items() for name in exported.split()}

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(f"{package}.{homes[name]}"), name)
        except ModuleNotFoundError as error:
            from mlffm_segdiff.config.extra import extra_of, missing  # slow to import

            extra = extra_of(error.name or "")
            if extra is None:
                raise
            raise missing(error, extra) from error

    return get, lambda: sorted({*vars(import_module(package)), *homes})
