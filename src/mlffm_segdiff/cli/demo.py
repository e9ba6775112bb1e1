"""``mlffm-segdiff demo``: the package's samples with the package's weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlffm_segdiff.cli.common import (
    DeviceOption,
    JsonOption,
    QuietOption,
    Reporter,
    ThreadsOption,
    set_threads,
)
from mlffm_segdiff.cli.runtime import WeightsOption
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.segmenters.device import AUTO

if TYPE_CHECKING:
    from mlffm_segdiff.inference.demo import ScoredSample


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the results go.")
    ] = Path("demo-output"),
    weights: WeightsOption = "default",
    device: DeviceOption = AUTO,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Segment the sample images of the package and compare with their exact masks.

    Writes masks, overlays, predictions.csv and one summary image, summary.png. Needs no download and no GPU.
    """
    from mlffm_segdiff.inference.demo import run_demo
    from mlffm_segdiff.inference.model import load_model

    set_threads(threads)
    folder = expanded(output)
    samples = run_demo(load_model(weights, device=device), folder)
    reporter, mean = Reporter(quiet, as_json), sum(sample.jaccard for sample in samples) / len(samples)
    _print_scores(reporter, samples, mean)
    reporter.info(f"masks, overlays and summary.png: {folder}")
    scores = [{"name": sample.name, "jaccard": sample.jaccard} for sample in samples]
    reporter.result({"output": folder, "mean_jaccard": mean, "samples": scores})


def _print_scores(reporter: Reporter, samples: "list[ScoredSample]", mean: float) -> None:
    from rich.table import Table

    table = Table("sample", show_footer=True)
    table.columns[0].footer = "mean"
    table.add_column("Jaccard", footer=f"{mean:.4f}", justify="right")
    for sample in samples:
        table.add_row(sample.name, f"{sample.jaccard:.4f}")
    reporter.console().print(table)
