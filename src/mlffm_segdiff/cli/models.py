"""``mlffm-segdiff models``: list the networks that a recipe can use."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from mlffm_segdiff.cli.common import JsonOption, Reporter

if TYPE_CHECKING:
    from mlffm_segdiff.segmenters.cost import ModelCost


def models(as_json: JsonOption = False) -> None:
    """List the models with parameters, arithmetic, sampling steps and source.

    Sizes are those of the recipe named as the model, otherwise the defaults. GFLOP is the arithmetic of
    convolutions and matrix products in one segmentation at 128 x 128. Steps are sampling steps, times samples
    or mirror images.
    """
    from mlffm_segdiff.models.registry import MODELS
    from mlffm_segdiff.segmenters.cost import count_cost, model_recipe

    reporter = Reporter(json=as_json)
    with reporter.status("counting"):
        counted = {name: count_cost(model_recipe(name)) for name in MODELS}
    sources = {name: entry.citation for name, entry in MODELS.items()}
    reporter.result(
        {"models": [{"name": name, **asdict(one), "source": sources[name]} for name, one in counted.items()]}
    )
    if not as_json:
        _print_table(reporter, counted, sources)


def _print_table(reporter: Reporter, counted: "Mapping[str, ModelCost]", sources: Mapping[str, str]) -> None:
    from rich.table import Table

    table = Table("model")
    for column in ("parameters", "GFLOP", "steps"):
        table.add_column(column, justify="right")
    table.add_column("source", overflow="fold")
    for name, one in counted.items():
        passes = f"{one.steps} x {one.samples}" if one.samples > 1 else str(one.steps)
        table.add_row(name, f"{one.parameters:,}", f"{one.flops / 1e9:,.1f}", passes, sources[name])
    reporter.console().print(table)
