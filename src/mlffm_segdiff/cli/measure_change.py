"""``mlffm-segdiff measure-change``: the change of a lesion between two images of it."""

import math
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
from mlffm_segdiff.cli.sampling import StyleOption, sampling_overrides
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.segmenters.device import AUTO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlffm_segdiff.inference.change import Change
    from mlffm_segdiff.inference.estimates import Estimate
    from mlffm_segdiff.inference.result import CaseResult

UNITS = {"mm2": "mm2", "share": "% of the image"}


def measure_change(
    before: Annotated[Path, typer.Argument(metavar="A", help="The first image.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="A later image of the same lesion.")],
    weights: WeightsOption = "default",
    style: StyleOption = None,
    mm_per_pixel: Annotated[
        list[float] | None,
        typer.Option(
            help="Side of a pixel in millimetres: once for both images, or twice, for A and B [default: from "
            "DICOM files]."
        ),
    ] = None,
    level: Annotated[
        float | None,
        typer.Option(
            metavar="80|90|95",
            help="Level at which all intervals hold at once, in percent, or as 0.9 [default: 90, or the "
            "highest that the weights are calibrated for].",
        ),
    ] = None,
    device: DeviceOption = AUTO,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the area of a lesion in two images of it, such as those of two visits.

    Prints the areas, their difference and ratio, each with an interval, and
    whether the change can be distinguished from zero. With the probability of the level,
    all of the intervals hold at once. They are about where the border is; that
    the images show the same lesion, at the scale given, is up to you.

    Areas are in mm2 if the size of a pixel is known for both images. Otherwise
    they are shares of the image, which can be compared only at equal scale.

    Example: mlffm-segdiff measure-change may.jpg june.jpg --mm-per-pixel 0.02
    """
    from mlffm_segdiff.inference import change
    from mlffm_segdiff.inference.estimates import shown_level
    from mlffm_segdiff.inference.segmenter import Segmenter
    from mlffm_segdiff.metrics.case_bounds import LEVELS

    shown_level(level, LEVELS)
    spacings = _two_spacings(mm_per_pixel or [])
    set_threads(threads)
    reporter = Reporter(quiet, as_json)
    segmenter = Segmenter.from_pretrained(weights, device=device)
    sampling = sampling_overrides(None, None, style)
    results = [
        segmenter.segment(expanded(path), sampling=sampling, mm_per_pixel=spacing)
        for path, spacing in zip((before, after), spacings, strict=True)
    ]
    found = change.measure_change(*results)
    shown = shown_level(level, found.levels)
    reporter.result(_as_json(found, shown, results))
    for result in results:
        if result.flags:
            reporter.warn(f"{result.image.name}: {', '.join(result.flags)}")
    if not as_json:
        _print_table(reporter, found, shown, results)
        for line in _conclusion(found, shown, results[0].calibration_cases):
            reporter.info(line)


def _two_spacings(given: list[float]) -> list[float | None]:
    if len(given) > 2:
        raise UserError(f"--mm-per-pixel is given {len(given)} times; give it once, or twice for A and B")
    return [given[0], given[-1]] if given else [None, None]


def _as_json(change: "Change", level: float | None, results: "list[CaseResult]") -> dict[str, object]:
    images = [{"image": one.image.name, "flags": list(one.flags)} for one in results]
    return {
        "unit": change.unit,
        "level": level,
        "before": images[0] | _estimate(change.before, level),
        "after": images[1] | _estimate(change.after, level),
        "difference": _estimate(change.difference, level),
        "ratio": _estimate(change.ratio, level) if change.ratio else None,
        "certain": change.is_certain(level),
        "calibration_cases": results[0].calibration_cases,
    }


def _estimate(estimate: "Estimate", level: float | None) -> dict[str, object]:
    ends = None if level is None else estimate.intervals[level]
    finite = ends and [end if math.isfinite(end) else None for end in ends]
    return {"value": estimate.value, "interval": finite}


def _print_table(
    reporter: Reporter, change: "Change", level: float | None, results: "list[CaseResult]"
) -> None:
    from rich.table import Table

    from mlffm_segdiff.inference.estimates import with_interval

    factor = 100 if change.unit == "share" else 1
    unit = UNITS[change.unit]
    rows = {
        f"A  {results[0].image.name}": change.before.scaled(factor),
        f"B  {results[1].image.name}": change.after.scaled(factor),
        "difference, B - A": change.difference.scaled(factor),
        "ratio, B / A": change.ratio,
    }
    table = Table("")
    intervals = f", with {100 * level:.4g} % intervals" if level else ""
    table.add_column(f"area in {unit}{intervals}", justify="right")
    for name, one in rows.items():
        ends = one.intervals[level] if one and level else None
        table.add_row(name, with_interval(one.value, ends) if one else "nothing found in A")
    reporter.console().print(table)


def _conclusion(change: "Change", level: float | None, cases: "Mapping[str, int]") -> list[str]:
    lines = []
    if level is None:
        lines.append("No calibration applies to these masks, so whether the lesion changed cannot be said.")
    else:
        interval = f"the {100 * level:.4g} % interval of the difference"
        if change.is_certain(level):
            direction = "larger" if change.difference.value > 0 else "smaller"
            lines.append(f"The outlined area is {direction} in B: {interval} excludes 0.")
        else:
            lines.append(f"The change cannot be distinguished from zero: {interval} includes 0.")
        lines.append(f"Calibration cases: {', '.join(f'{name} {count}' for name, count in cases.items())}.")
    if change.unit == "share":
        lines.append(
            "The size of a pixel is not known for both images: their areas can be compared only if both show "
            "the skin at the same scale. Give --mm-per-pixel for an answer in mm2."
        )
    return lines
