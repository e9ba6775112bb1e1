"""Options from the environment: MLFFM_SEGDIFF_VERB_OPTION, or MLFFM_SEGDIFF_OPTION for every verb."""

import os
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperOption

from mlffm_segdiff.config.errors import UserError

PREFIX = "MLFFM_SEGDIFF"
FROM_ENVIRONMENT = "ENVIRONMENT"
"""Name of Click's source of such a value."""

Function = TypeVar("Function", bound=Callable[..., Any])


class Verb(TyperCommand):
    """A verb whose options can also be set in the environment; errors then name the variable."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options; the command line takes precedence over the environment.

        Raises:
            UserError: An argument or the value of an option is empty, which as a path is the current folder.
        """
        for before, text in zip(["", *args], args, strict=False):
            if not text or (text.startswith("--") and text.endswith("=")):
                name = (text or before).rstrip("=")
                after = f" after {name}" if name.startswith("-") else ""
                raise UserError(f"empty argument{after}; is a variable of the shell not set?")
        for option in environment_options(self):
            option.envvar, option.show_envvar = variables(ctx.command_path, option), False
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; an error that quotes a value from the environment names its variable."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            quoted = [
                variable
                for option in environment_options(self)
                if (variable := variable_used(ctx, option))
                and _is_about(str(error), option, os.environ[variable])
            ]
            if not quoted:
                raise
            raise type(error)(f"{error} (in the environment: {', '.join(quoted)})") from error

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write which variables set the options."""
        own = f"{_words(ctx.command_path)}_SOME_OPTION"
        text = f"Environment: {own}, or {PREFIX}_SOME_OPTION for every command, sets --some-option."
        formatter.write_paragraph()
        formatter.write_text(text)


class Verbs(typer.Typer):
    """A group of verbs."""

    def command(self, *arguments: Any, **settings: Any) -> Callable[[Function], Function]:
        """Return the decorator that registers a function as a `Verb`."""
        return super().command(*arguments, cls=Verb, **settings)


def _is_about(message: str, option: TyperOption, value: str) -> bool:
    """Return whether an error quotes an option's value; a short value may stand for anything else too."""
    quoted = re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.]\w)", message)
    name = max(option.opts, key=len).lstrip("-").replace("-", "[-_ ]")
    return bool(quoted) and (len(value) > 2 or bool(re.search(rf"\b{name}\b", message)))


def environment_options(verb: TyperCommand) -> Iterator[TyperOption]:
    """Yield the options of a verb that the environment can set: all but --help."""
    yield from (option for option in verb.params if isinstance(option, TyperOption) and not option.is_eager)


def variables(command_path: str, option: TyperOption) -> list[str]:
    """Return the variables of an option, the one of its verb first.

    Args:
        command_path: Command and verb, such as ``mlffm-segdiff data check``.
        option: Named by its longest spelling.
    """
    name = _words(max(option.opts, key=len).lstrip("-"))
    return [f"{_words(command_path)}_{name}", f"{PREFIX}_{name}"]


def variable_used(context: Any, option: TyperOption) -> str | None:
    """Return the variable that the value of an option came from, or None."""
    source = context.get_parameter_source(option.name)
    if source is None or source.name != FROM_ENVIRONMENT:
        return None
    return next(name for name in option.envvar or () if os.environ.get(name))


def _words(text: str) -> str:
    return re.sub(r"\W", "_", text).upper()
