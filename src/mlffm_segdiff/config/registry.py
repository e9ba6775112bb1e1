"""Exchangeable parts by name: this package's own, and those of other packages and of the user."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, cast

from mlffm_segdiff.config.errors import UserError, one_line
from mlffm_segdiff.config.spelling import known_name

Part = TypeVar("Part")
Registered = TypeVar("Registered")


class Registry(Mapping[str, Part]):
    """Registered parts by name.

    A part is registered by the decorator that `register` returns, or by an entry point of an installed
    package. Nothing is imported before the first lookup. A part of this package is in the module of its own
    name, and of other packages only the requested part is imported.

    Args:
        noun: Word for a part in errors.
        group: The entry point group of other packages.
        modules: Modules of this package that register parts.
        parts: Parts that are registered from the start.
        base: Class of which every part must be a subclass, if there is one.
    """

    def __init__(
        self,
        noun: str,
        group: str,
        modules: Sequence[str] = (),
        parts: Mapping[str, Part] | None = None,
        base: type | None = None,
    ) -> None:
        self.noun = noun
        self.group = group
        self.modules = modules
        self.base = base
        self._parts = dict(parts or {})

    def register(self, name: str) -> Callable[[Registered], Registered]:
        """Return a decorator that registers a part under ``name``.

        Raises:
            ValueError: On decorating, if the name is taken by another part.
            UserError: On decorating, if the part is not a subclass of ``base``.
        """

        def decorate(part: Registered) -> Registered:
            self._require_kind(name, part)
            for module in self.modules:
                if module.rpartition(".")[2] == name and getattr(part, "__module__", None) != module:
                    import_module(module)
            registered: Any = self._parts.setdefault(name, cast(Part, part))
            if registered is not part:
                raise ValueError(f"there is already a {self.noun} called {name!r}")
            return part

        return decorate

    def spelling(self, name: str) -> str:
        """Return the name of the part that ``name`` means, see `known_name`."""
        return name if name in self else known_name(name, self)

    def require(self, name: str) -> Part:
        """Return the part called ``name``, in any spelling that `known_name` finds.

        Raises:
            UserError: No part has that name, its package cannot be imported, or two packages have one.
        """
        name = self.spelling(name)
        if name not in self:
            raise UserError(f"unknown {self.noun} {name!r}; choose one of {', '.join(self)}")
        if self._is_built_in(name) and (others := self._entry_points(name)):
            raise UserError(
                f"{self.noun} {name!r} is built in, and {_packages(others)[0]} has one of that name, too; "
                "rename that one, or uninstall its package"
            )
        return self[name]

    def package_of(self, name: str) -> str | None:
        """Return the installed package whose entry point is the part of this name, if there is one."""
        found = [] if self._is_built_in(name) else self._entry_points(name)
        return found[0].dist.name if found and found[0].dist is not None else None

    def names_elsewhere(self) -> list[str]:
        """Return the names of parts in other packages, in alphabetical order, without importing them."""
        return sorted({point.name for point in entry_points(group=self.group)})

    def __getitem__(self, name: str) -> Part:
        return self._parts[name] if self._has_own(name) else self._load(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (self._has_own(name) or bool(self._entry_points(name)))

    def __iter__(self) -> Iterator[str]:
        for module in self.modules:
            import_module(module)
        return iter(sorted({*self._parts, *self.names_elsewhere()}))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _has_own(self, name: str) -> bool:
        """Import this package's modules until the part is found."""
        for module in sorted(self.modules, key=lambda path: path.rpartition(".")[2] != name):
            if name in self._parts:
                break
            import_module(module)
        return name in self._parts

    def _is_built_in(self, name: str) -> bool:
        return self._has_own(name) and getattr(self._parts[name], "__module__", None) in self.modules

    def _entry_points(self, name: str) -> list[EntryPoint]:
        return list(entry_points(group=self.group, name=name))

    def _load(self, name: str) -> Part:
        found = self._entry_points(name)
        if not found:
            raise KeyError(name)
        packages = _packages(found)
        if len(found) > 1:
            raise UserError(
                f"{self.noun} {name!r} is in the packages {' and '.join(packages)}; uninstall one of them"
            )
        try:
            part = found[0].load()
        except Exception as error:  # of code that is not ours
            raise UserError(
                f"{self.noun} {name!r} of the package {packages[0]} cannot be imported ({one_line(error)}); "
                "install that package again"
            ) from error
        self._require_kind(name, part)
        return cast(Part, part)

    def _require_kind(self, name: str, part: object) -> None:
        if self.base and not (isinstance(part, type) and issubclass(part, self.base)):
            raise UserError(
                f"{getattr(part, '__name__', part)} cannot be registered as the {self.noun} {name!r}; "
                f"register a subclass of {self.base.__name__}"
            )


def _packages(points: Sequence[EntryPoint]) -> list[str]:
    return sorted(point.dist.name if point.dist is not None else point.value for point in points)


def import_target(target: str, key: str) -> Any:
    """Import what a recipe names by ``target``.

    Args:
        target: ``package.module.Name``.
        key: The recipe's key, for errors.

    Raises:
        UserError: The module does not exist, cannot be imported, or has no such name.
    """
    module, _, name = target.rpartition(".")
    if not module or target.startswith("."):
        raise UserError(f"{key}={target}: give the module too, for example my_package.{target.lstrip('.')}")
    try:
        imported = import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{key}={target}: there is no module {error.name!r}; install its package, "
            "or add its folder to PYTHONPATH"
        ) from error
    except Exception as error:  # of code that is not ours
        raise UserError(
            f"{key}={target}: module {module!r} cannot be imported ({one_line(error)}); correct it"
        ) from error
    if not hasattr(imported, name):
        raise UserError(f"{key}={target}: module {module!r} has no {name!r}; check the name")
    return getattr(imported, name)


def call_target(part: Any, args: Mapping[str, Any], key: str) -> Any:
    """Call ``part`` with a recipe's ``args``; ``key`` is their key. Raises UserError if they do not fit."""
    try:
        return part(**args)
    except UserError:
        raise
    except Exception as error:  # of code that is not ours
        raise UserError(f"{key}={dict(args)}: {one_line(error)}; correct them") from error
