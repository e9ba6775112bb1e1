"""``mlffm-segdiff evaluate``: a model on a split, or a folder of masks against a folder of masks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlffm_segdiff.cli.common import (
    ExitStatus,
    JsonOption,
    QuietOption,
    Reporter,
    SourceOption,
    SplitOption,
    ThreadsOption,
    choose_data,
    set_threads,
)
from mlffm_segdiff.cli.sampling import (
    FusionOption,
    MirrorOption,
    SamplerOption,
    SamplesOption,
    SecondLookOption,
    SeedOption,
    StepsOption,
    StyleOption,
)
from mlffm_segdiff.config.errors import UserError

if TYPE_CHECKING:
    from mlffm_segdiff.config.schema import Recipe
    from mlffm_segdiff.data.sources import SplitCases
    from mlffm_segdiff.evaluation.folders import MaskFiles
    from mlffm_segdiff.evaluation.model import SegmentedCase
    from mlffm_segdiff.evaluation.pictures import OutlinedCase
    from mlffm_segdiff.evaluation.rows import EvaluatedCase
    from mlffm_segdiff.metrics.certainty import Calibration
    from mlffm_segdiff.metrics.summary import Summary
    from mlffm_segdiff.segmenters.base import Sampling
    from mlffm_segdiff.segmenters.pretrained import Pretrained
    from mlffm_segdiff.segmenters.sampling import SamplingChoices

Part = Literal["train", "val", "test"]
Outline = Callable[[str], "OutlinedCase"]
CONTOURS_SHOWN = 6


def evaluate(
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
    source: SourceOption = None,
    split: SplitOption = None,
    part: Annotated[Part, typer.Option(help="Which part of the split.")] = "test",
    samples: SamplesOption = None,
    steps: StepsOption = None,
    sampler: SamplerOption = None,
    seed: SeedOption = None,
    fusion: FusionOption = None,
    style: StyleOption = None,
    mirror: MirrorOption = None,
    second_look: SecondLookOption = None,
    masks: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Masks from any program, in place of a model.")
    ] = None,
    truth: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The true masks for --masks.")] = None,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="With --part val: write quality.json beside the weights."),
    ] = False,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score a model on a split, or a folder of masks against a folder of true masks.

    By default a model's mask is that of the posterior mean, computed in one step; samples are drawn only
    when asked for. Its masks are scored as thresholded, without post-processing; to score those of predict,
    give its masks/ folder to --masks.

    Writes cases.csv, summary.json and figures; of a model also quality.csv, which
    tells how well its certainty found bad masks. Exit status 1 if true masks lack a prediction.

    Examples: mlffm-segdiff evaluate runs/mine -o scores;
    mlffm-segdiff evaluate default --source ph2=/data/ph2 -o scores;
    mlffm-segdiff evaluate --masks mine --truth theirs -o scores
    """
    if (weights is None) == (masks is None) or (masks is None) != (truth is None):
        raise UserError("give either a run or weights, or both --masks FOLDER and --truth FOLDER")
    reporter = Reporter(quiet, as_json)
    given: SamplingChoices = {
        "samples": samples,
        "steps": steps,
        "sampler": sampler,
        "seed": seed,
        "fusion": fusion,
        "style": style,
        "mirror": mirror,
        "second_look": second_look,
    }
    if masks is not None and truth is not None:
        if source or split or calibrate or any(value is not None for value in given.values()):
            raise UserError(
                "--source, --split, --calibrate and how masks are drawn go with a model, not with --masks"
            )
        _evaluate_masks(masks, truth, output, reporter)
        return
    assert weights is not None
    set_threads(threads)
    _evaluate_weights(weights, source or (), split, part, given, output, calibrate, reporter)


def _evaluate_weights(
    name: str,
    sources: Sequence[str],
    split: Path | None,
    part: Part,
    given: "SamplingChoices",
    output: Path,
    calibrate: bool,
    reporter: Reporter,
) -> None:
    from mlffm_segdiff.cli import quality
    from mlffm_segdiff.data.sources import load_split_cases
    from mlffm_segdiff.evaluation.model import evaluate_case, outline_case
    from mlffm_segdiff.evaluation.quality import judge_case, quality_summary
    from mlffm_segdiff.metrics.distribution import summarise_samples
    from mlffm_segdiff.segmenters.pretrained import load_pretrained
    from mlffm_segdiff.segmenters.sampling import chosen_sampling

    beside = quality.check_calibration(name, part) if calibrate else None
    pretrained = load_pretrained(name)
    recipe = choose_data(pretrained.recipe, sources, split)
    sampling = chosen_sampling(recipe, **given)
    _require_paths(recipe)
    parts = load_split_cases(recipe.data)
    output.mkdir(parents=True, exist_ok=True)
    segmented = {one.case.id: one for one in _segment(pretrained, recipe, parts, part, sampling, reporter)}
    cases = [evaluate_case(one) for one in segmented.values()]
    facts = {
        "weights": name,
        "recipe": recipe.name,
        "sources": recipe.model_dump(mode="json")["data"]["sources"],
        "part": part,
        "split": parts.digest,
        "size": recipe.data.size,
        "sampling": asdict(sampling),
    }
    calibration = _calibration(pretrained, sampling)
    judged = [judge_case(segmented[case.id], case, calibration) for case in cases]
    facts["quality"] = quality_summary(judged)
    scores = [one.samples for one in segmented.values() if one.samples is not None]
    if scores:
        facts["samples"] = asdict(summarise_samples(scores))
    quality.report_quality(judged, output, reporter)
    _report(output, cases, lambda key: outline_case(segmented[key]), facts, reporter)
    if beside is not None:
        quality.calibrate(beside, judged, recipe, parts, sampling, reporter)


def _calibration(pretrained: "Pretrained", sampling: "Sampling") -> "Calibration | None":
    known = pretrained.quality
    return known.calibration if known and known.suits(sampling) else None


def _require_paths(recipe: "Recipe") -> None:
    bare = [name for name, path in recipe.data.sources.items() if path is None and name != "synthetic"]
    if bare:
        raise UserError(
            f"no path for {', '.join(bare)}: name the data to evaluate on by --source {bare[0]}=FOLDER"
        )


def _segment(
    pretrained: "Pretrained",
    recipe: "Recipe",
    parts: "SplitCases",
    part: Part,
    sampling: "Sampling",
    reporter: Reporter,
) -> "list[SegmentedCase]":
    from mlffm_segdiff.data.sources import open_split
    from mlffm_segdiff.evaluation.model import segment_cases
    from mlffm_segdiff.segmenters.device import best_device

    device = best_device()
    with reporter.progress("reading") as progress:
        pairs = open_split(parts, part, recipe.data.size, progress)
    segmenter = pretrained.segmenter.to(device).eval()
    cases, found = parts.cases[part], []
    batch_size = recipe.train.batch_size
    with reporter.progress("segmenting") as progress:
        for one in segment_cases(segmenter, pairs, cases, sampling, batch_size, device):
            found.append(one)
            progress(len(found), len(cases))
    return found


def _evaluate_masks(masks: Path, truth: Path, output: Path, reporter: Reporter) -> None:
    from mlffm_segdiff.evaluation.folders import compare_masks, match_folders

    matched = match_folders(masks, truth)
    output.mkdir(parents=True, exist_ok=True)
    files = {pair.id: pair for pair in matched.pairs}
    cases = []
    with reporter.progress("comparing") as progress:
        for case in compare_masks(matched):
            cases.append(case)
            progress(len(cases), len(files))
    scores = {case.id: case.source.jaccard for case in cases}
    facts = {"masks": str(masks), "truth": str(truth), "missing": matched.missing, "extra": matched.extra}
    _report(output, cases, lambda key: _outline_files(files[key], scores[key]), facts, reporter)
    if matched.extra:
        reporter.warn(f"{len(matched.extra)} masks have no true mask: {_some(matched.extra)}")
    if not matched.complete:
        typer.echo(f"{len(matched.missing)} true masks lack a prediction: {_some(matched.missing)}", err=True)
        raise typer.Exit(ExitStatus.FAULTS)


def _outline_files(files: "MaskFiles", jaccard: float) -> "OutlinedCase":
    from mlffm_segdiff.data.files import decode_mask
    from mlffm_segdiff.evaluation.pictures import OutlinedCase

    predicted, truth = (decode_mask(entry.read(), str(entry)) for entry in (files.predicted, files.truth))
    return OutlinedCase(files.id, truth, predicted, jaccard)


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")


def _report(
    folder: Path,
    cases: "Sequence[EvaluatedCase]",
    outline: Outline,
    facts: Mapping[str, Any],
    reporter: Reporter,
) -> None:
    from mlffm_segdiff.evaluation import pictures
    from mlffm_segdiff.evaluation.report import write_report

    found = write_report(folder, cases, facts)
    picked = pictures.pick_cases(cases, CONTOURS_SHOWN)
    groups = {name: [outline(case.id) for case in group] for name, group in picked.items() if group}
    figures = {
        "contours.png": pictures.contour_figure(groups),
        "jaccard_histogram.png": pictures.histogram_figure(
            [case.source.jaccard for case in cases], "Jaccard at source size"
        ),
        "jaccard_by_size.png": pictures.size_figure(cases),
    }
    for name, figure in figures.items():
        pictures.save_figure(figure, folder / name)
    _print_tables(found, reporter)
    for name, value in (facts.get("samples") or {}).items():
        reporter.info(f"samples, {name.replace('_', ' ')}: {value:.4g}")
    reporter.info(f"tables and figures: {folder}")
    reporter.result({"output": folder, **facts, **{name: asdict(summary) for name, summary in found.items()}})


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
