"""Options of how masks are made, shared by ``predict`` and ``evaluate``; see `Sampling`."""

from typing import Annotated

import typer

SamplesOption = Annotated[
    int | None,
    typer.Option(
        help="Samples to draw of each image; 2 or more give a spread. 0: the posterior mean in one step "
        "[default: the recipe's, usually 0]."
    ),
]
StepsOption = Annotated[
    int | None, typer.Option(help="Denoising steps of a sample; needs --samples [default: the recipe's].")
]
SamplerOption = Annotated[
    str | None,
    typer.Option(help="How samples are drawn: ddim, ddpm or dpm; needs --samples [default: the recipe's]."),
]
SeedOption = Annotated[int | None, typer.Option(help="Seed of the starting noise [default: the recipe's].")]
FusionOption = Annotated[
    str | None,
    typer.Option(help="How samples become one mask: mean or staple [default: the recipe's]."),
]
StyleOption = Annotated[
    str | None,
    typer.Option(
        metavar="any|isic2018|ham10000|ph2",
        help="Outline as in this data set, for a model that knows several [default: the recipe's].",
    ),
]
MirrorOption = Annotated[
    bool | None,
    typer.Option(
        "--mirror/--no-mirror",
        help="Average over the image and its three mirror images; four times as long "
        "[default: the recipe's].",
    ),
]
SecondLookOption = Annotated[
    bool | None,
    typer.Option(
        "--second-look/--no-second-look",
        help="Segment the found lesion again, enlarged, and merge; up to twice as long. Not with --samples "
        "[default: the recipe's].",
    ),
]
