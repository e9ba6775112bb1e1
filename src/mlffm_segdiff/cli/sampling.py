"""Sampling settings on the command line: sampling.KEY=VALUE, and the shorthands --samples and --style."""

from collections.abc import Sequence
from typing import Annotated

import typer

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.sampling_arguments import KNOWN_KEYS, parse_sampling

SamplingArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[sampling.KEY=VALUE]...",
        help=f"Sampling settings to change, such as sampling.steps=8; {KNOWN_KEYS}.",
    ),
]
SamplesOption = Annotated[
    int | None,
    typer.Option(
        help="Samples to draw of each image; 2 or more give a spread. 0: the posterior mean in one step. "
        "Shorthand for sampling.samples [default: the recipe's, usually 0]."
    ),
]
StyleOption = Annotated[
    str | None,
    typer.Option(
        metavar="any|isic2018|ham10000|ph2",
        help="Annotation style of this data set, for a model with several. Shorthand for sampling.style "
        "[default: the recipe's].",
    ),
]


def sampling_overrides(
    arguments: Sequence[str] | None, samples: int | None, style: str | None
) -> dict[str, object]:
    """Return the sampling settings given on the command line as one mapping.

    Raises:
        UserError: An argument is not sampling.KEY=VALUE, or a setting is given twice.
    """
    overrides: dict[str, object] = dict(parse_sampling(arguments or ()))
    for key, value in (("samples", samples), ("style", style)):
        if value is not None:
            if key in overrides:
                raise UserError(f"sampling.{key} and --{key} are the same setting; give one of them")
            overrides[key] = value
    return overrides
