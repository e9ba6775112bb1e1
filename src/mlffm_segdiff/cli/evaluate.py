"""``mlffm-segdiff evaluate``: a model on a split, or a folder of masks against a folder of masks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlffm_segdiff.cli.common import (
    DeviceOption,
    ExitStatus,
    JsonOption,
    QuietOption,
    Reporter,
    SourceOption,
    SplitOption,
    ThreadsOption,
    parse_source,
    refuse_given,
    set_threads,
)
from mlffm_segdiff.cli.sampling import SamplesOption, SamplingArgument, StyleOption, sampling_overrides
from mlffm_segdiff.cli.terminal import say
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.segmenters.device import AUTO

if TYPE_CHECKING:
    from mlffm_segdiff.evaluation.pipeline import Evaluation
    from mlffm_segdiff.evaluation.quality import JudgedCase
    from mlffm_segdiff.metrics.summary import Summary

Part = Literal["train", "val", "test"]


def evaluate(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where tables and figures go.")
    ],
    weights: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|WEIGHTS]",
            help="A run folder, a folder of weights, a hub id, or default (those of the package).",
        ),
    ] = None,
    sampling: SamplingArgument = None,
    source: SourceOption = None,
    split: SplitOption = None,
    part: Annotated[Part, typer.Option(case_sensitive=False, help="Part of the split.")] = "test",
    samples: SamplesOption = None,
    style: StyleOption = None,
    masks: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Masks from any program, instead of a model.")
    ] = None,
    truth: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Ground truth for --masks.")] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="With --part val: write quality.json and outliers.safetensors next to the weights.",
        ),
    ] = False,
    device: DeviceOption = AUTO,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score a model on a split, or a folder of masks against a folder of ground truth.

    By default the mask of a model is that of the posterior mean, computed in one step; samples are drawn only
    on request. Masks are scored as thresholded, without post-processing; to score those of predict, give its
    masks/ folder to --masks.

    Writes cases.csv, summary.json and figures; of a model also quality.csv, which shows how well its
    certainty finds bad masks, and with a calibration coverage.csv, how often its intervals hold. Exit
    status 1 if ground truth has no prediction.

    Examples: mlffm-segdiff evaluate runs/mine -o scores;
    mlffm-segdiff evaluate default sampling.steps=8 --samples 16 --source ph2=/data/ph2 -o scores;
    mlffm-segdiff evaluate --masks mine --truth theirs -o scores
    """
    if (weights is None) == (masks is None) or (masks is None) != (truth is None):
        raise UserError("give either a run or weights, or both --masks FOLDER and --truth FOLDER")
    from mlffm_segdiff.evaluation.pipeline import require_free_folder

    reporter = Reporter(quiet, as_json)
    if masks is not None and truth is not None:
        reason = "--masks are scored without a model"
        refuse_given(context, reason, "source", "split", "part", "sampling", "samples", "style")
        refuse_given(context, reason, "calibrate", "device", "threads")
        require_free_folder(output, (masks, truth))
        _evaluate_masks(masks, truth, output, reporter)
        return
    from mlffm_segdiff import evaluation
    from mlffm_segdiff.evaluation.calibrating import calibration_folder, level_lines
    from mlffm_segdiff.segmenters.calibration import QUALITY

    assert weights is not None
    require_free_folder(output)
    set_threads(threads)
    folder = calibration_folder(weights, part) if calibrate else None
    found = evaluation.evaluate(
        weights,
        sources=dict(map(parse_source, source or ())),
        split=split,
        part=part,
        sampling=sampling_overrides(sampling, samples, style),
        device=device,
        show=reporter.progress,
    )
    _report(found, output, reporter)
    if folder is not None:
        _calibrate_outliers(found, folder, reporter)
        quality = evaluation.calibrate(found, folder, reporter.progress)
        for line in level_lines(quality.styles[quality.sampling.style]):
            reporter.info(line)
        reporter.info(f"calibrated on {quality.cases} cases: {folder / QUALITY.name}")


def _calibrate_outliers(found: "Evaluation", folder: Path, reporter: Reporter) -> None:
    from mlffm_segdiff.evaluation.outliers import calibrate_outliers

    assert found.model is not None
    path = calibrate_outliers(found.model, folder, reporter.progress)
    reporter.info(
        f"outlier detector: {path}"
        if path is not None
        else "no outlier detector: it needs 33 different training images, and a network that encodes images"
    )


def _evaluate_masks(masks: Path, truth: Path, output: Path, reporter: Reporter) -> None:
    from mlffm_segdiff.evaluation import evaluate_masks
    from mlffm_segdiff.evaluation.folders import first_ids

    found = evaluate_masks(masks, truth, reporter.progress)
    _report(found, output, reporter)
    if expanded(masks).resolve() == expanded(truth).resolve():
        reporter.warn("--masks and --truth are the same folder: the ground truth was scored against itself")
    missing, extra = found.facts["missing"], found.facts["extra"]
    if extra:
        reporter.warn(f"{len(extra)} masks have no ground truth: {first_ids(extra)}")
    if missing:
        say(f"{len(missing)} cases of the ground truth have no prediction: {first_ids(missing)}", err=True)
        raise typer.Exit(ExitStatus.FAULTS)


def _report(found: "Evaluation", folder: Path, reporter: Reporter) -> None:
    """Write tables and figures, and print the summary."""
    from mlffm_segdiff.evaluation import write_evaluation
    from mlffm_segdiff.evaluation.pipeline import evaluated_files

    summaries = write_evaluation(found, folder)
    if found.judged:
        _print_found_bad_masks(found.judged, reporter)
    _print_tables(summaries, reporter)
    for name, value in (found.facts.get("samples") or {}).items():
        reporter.info(f"samples, {name.replace('_', ' ')}: {value:.4g}")
    reporter.info(f"tables and figures: {folder}")
    results = {name: asdict(summary) for name, summary in summaries.items()}
    reporter.result({"output": folder, **found.facts, "files": evaluated_files(folder), **results})


def _print_found_bad_masks(cases: "Sequence[JudgedCase]", reporter: Reporter) -> None:
    from mlffm_segdiff.evaluation.quality import SHARES, caught_share
    from mlffm_segdiff.metrics.overlap import JACCARD_THRESHOLD

    bad = [case.jaccard < JACCARD_THRESHOLD for case in cases]
    if any(bad):
        caught = [caught_share([-case.certainty for case in cases], bad, share) or 0.0 for share in SHARES]
        reporter.info(
            f"bad masks (Jaccard below {JACCARD_THRESHOLD}): {sum(bad)}; among the least certain "
            + ", ".join(f"{share:.0%}: {part:.0%}" for share, part in zip(SHARES, caught, strict=True))
        )


def _print_tables(found: "Mapping[str, Summary]", reporter: Reporter) -> None:
    from rich.table import Table

    from mlffm_segdiff.evaluation.report import SUMMARY_HEADER, summary_rows

    for size in (name for name in ("network", "source") if name in found):
        table = Table(title=f"at {size} size, {found[size].cases} cases", title_justify="left")
        for number, column in enumerate(SUMMARY_HEADER):
            table.add_column(column, justify="right" if number else "left")
        for row in summary_rows(found[size]):
            table.add_row(*row)
        reporter.console().print(table)
