"""Sampling settings as text: sampling.KEY=VALUE."""

from collections.abc import Sequence

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig

PREFIX = "sampling."
SAMPLING_KEYS = tuple(SamplingConfig.model_fields)
KNOWN_KEYS = f"known keys: {', '.join(SAMPLING_KEYS)}"


def parse_sampling(arguments: Sequence[str]) -> dict[str, str]:
    """Return the overrides in ``sampling.KEY=VALUE`` arguments, by key without the prefix.

    Raises:
        UserError: An argument is not of that form, or a key is given twice.
    """
    overrides: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        key = name.removeprefix(PREFIX)
        if not equals or key == name:
            raise UserError(
                f"{argument!r} is not sampling.KEY=VALUE, for example sampling.steps=8; {KNOWN_KEYS}"
            )
        if key in overrides:
            raise UserError(f"{name} is given twice; give it once")
        overrides[key] = value
    return overrides
