"""``mlffm-segdiff models``: list the networks that a recipe can use."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from mlffm_segdiff.cli.common import JsonOption, Reporter

if TYPE_CHECKING:
    from mlffm_segdiff.segmenters.model_list import ListedModel


def models(as_json: JsonOption = False) -> None:
    """List the models with parameters, arithmetic, sampling steps and source.

    Sizes are those of the recipe named as the model, otherwise the defaults. GFLOP is the arithmetic of
    convolutions and matrix products in one segmentation at 128 x 128. Steps are sampling steps, times samples
    or mirror images.
    """
    from mlffm_segdiff.segmenters.model_list import packaged_models

    reporter = Reporter(json=as_json)
    packaged = packaged_models()
    listed = dict(sorted({**_models_elsewhere(reporter), **packaged}.items()))
    reporter.result(
        {"models": [{"name": name, **asdict(one.cost), "source": one.source} for name, one in listed.items()]}
    )
    if not as_json:
        _print_table(reporter, listed)


def _models_elsewhere(reporter: Reporter) -> "dict[str, ListedModel]":
    """Count the models of other packages; without any, torch is not imported."""
    from mlffm_segdiff.models.registry import MODELS

    names = MODELS.names_elsewhere()
    if not names:
        return {}
    from mlffm_segdiff.segmenters.cost import count_model

    with reporter.status("counting"):
        return {name: count_model(name) for name in names}


def _print_table(reporter: Reporter, listed: "Mapping[str, ListedModel]") -> None:
    from rich.table import Table

    table = Table("model")
    for column in ("parameters", "GFLOP", "steps"):
        table.add_column(column, justify="right")
    table.add_column("source", overflow="fold")
    for name, one in listed.items():
        cost = one.cost
        passes = f"{cost.steps} x {cost.samples}" if cost.samples > 1 else str(cost.steps)
        table.add_row(name, f"{cost.parameters:,}", f"{cost.flops / 1e9:,.1f}", passes, one.source)
    reporter.console().print(table)
