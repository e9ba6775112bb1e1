"""``mlffm-segdiff data``: check and split a data set, convert it for nnU-Net, or make a synthetic one."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

import typer

from mlffm_segdiff.cli.common import ExitStatus, JsonOption, QuietOption, Reporter, SplitOption
from mlffm_segdiff.cli.environment import Verbs
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.section import MAX_SEED

if TYPE_CHECKING:
    from mlffm_segdiff.data.check_report import Report
    from mlffm_segdiff.data.datasets.pairing import Pairing
    from mlffm_segdiff.data.sources import SplitCases

data = Verbs(help="Check and split a data set, convert it for nnU-Net, or make a synthetic one.")

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="isic2016, isic2017, isic2018, ham10000, ph2, folder, nnunet, coco, cvat, labelme or yolo.",
    ),
]
PathArgument = Annotated[
    Path, typer.Argument(metavar="PATH", help="The folder with the archives as downloaded, or unpacked.")
]


class NnunetPlan(TypedDict):
    """nnU-Net's plan: patch height and width in pixels, number of stages, batch size."""

    patch: tuple[int, int]
    stages: int
    batch: int


@data.command(short_help="Find problems that affect training.")
def check(
    name: NameArgument,
    path: PathArgument,
    split: SplitOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check a data set for problems; exit status 1 if any affects training.

    This includes groups and near-duplicate images in two parts of --split, or of the packaged split.
    """
    from mlffm_segdiff.data.check import check_pairing
    from mlffm_segdiff.data.splits import load_split
    from mlffm_segdiff.data.table import find_pairs

    found = find_pairs(name, path)
    parts, reporter = None if split is None else load_split(expanded(split)), Reporter(quiet, as_json)
    with reporter.progress("reading") as progress:
        report = check_pairing(found, parts, progress)
    _print_report(report, found, reporter)
    if report.affects_training:
        raise typer.Exit(ExitStatus.FAULTS)


@data.command(name="split", short_help="Split by lesion or patient into three parts.")
def make(
    name: NameArgument,
    path: PathArgument,
    sizes: Annotated[
        str,
        typer.Option(
            metavar="TRAIN/VAL/TEST", help="Cases per part, which add up to all pairs, such as 1815/259/520."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The CSV file to write.")],
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the random split.")] = 0,
    by: Annotated[
        Literal["group", "image", "image-without-leaks"],
        typer.Option(
            case_sensitive=False, help="What to split by; image ignores lesions and patients, which leaks."
        ),
    ] = "group",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Split the pairs of a data set into train, val and test; images of one lesion or patient stay together.

    --by image ignores lesions and patients, to measure how much such a leak inflates scores.
    --by image-without-leaks is the same split without the training and validation images that leak.
    """
    from mlffm_segdiff.data.splits import (
        SPLITS,
        ignore_groups,
        leaked,
        make_split,
        save_split,
        without_leaks,
    )
    from mlffm_segdiff.data.table import read_cases
    from mlffm_segdiff.files.atomic import require_writable_file

    output = expanded(output)
    require_writable_file(output)
    pairs = [case for case in read_cases(name, path) if case.mask is not None]
    made = make_split(pairs if by == "group" else ignore_groups(pairs), _sizes(sizes), seed)
    groups = {case.id: case.group for case in pairs}
    if by == "image-without-leaks":
        made = without_leaks(made, groups)
    save_split(made, output, groups if any(key != group for key, group in groups.items()) else None)
    counts = {part: len(made.ids(part)) for part in SPLITS}
    count, shared, reporter = len(set(groups.values())), len(leaked(made, groups)), Reporter(quiet, as_json)
    reporter.info(f"{output}: {_counts(counts)}, in {count} groups; digest {made.digest()}")
    if shared:
        reporter.warn(f"{shared} of {len(made.test)} test cases share their group with train or val")
    found = {"cases": counts, "groups": count, "leaked": shared, "digest": made.digest()}
    reporter.result({"output": output, **found})


@data.command(short_help="Make images with exact masks.")
def synthetic(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The new folder.")],
    count: Annotated[int, typer.Option(min=1, help="Number of cases.")],
    size: Annotated[int, typer.Option(min=32, max=4096, help="Height and width in pixels.")] = 256,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the cases.")] = 0,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make synthetic dermoscopic images with exact masks, in the layout of the data set `folder`."""
    from mlffm_segdiff.data.synthetic import write_folder

    output = expanded(output)
    if output.exists():
        raise UserError(f"{output} exists; choose a new folder")
    reporter = Reporter(quiet, as_json)
    with reporter.status(f"making {count} cases"):
        write_folder(output, count, size, seed)
    reporter.info(f"{output}: {count} images in images/ and their masks in masks/")
    reporter.result({"output": output, "images": count})


@data.command(short_help="Convert a data set for nnU-Net v2.")
def nnunet(
    name: NameArgument,
    path: PathArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="The new folder, $nnUNet_raw/DatasetXXX_NAME."),
    ],
    split: SplitOption = None,
    preprocessed: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="$nnUNet_preprocessed, to write splits_final.json there."),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a data set with its split as a raw data set of nnU-Net v2, and print nnU-Net's plan for it.

    Example: mlffm-segdiff data nnunet ph2 /data/ph2 -o $nnUNet_raw/Dataset502_PH2
    """
    from statistics import median

    from mlffm_segdiff.data.datasets.nnunet_export import (
        check_target,
        splits_target,
        write_nnunet,
        write_splits,
    )

    output, preprocessed = expanded(output), preprocessed and expanded(preprocessed)
    check_target(output)
    if preprocessed is not None:
        splits_target(preprocessed, output.name)
    parts, reporter = _parts(name, path, split), Reporter(quiet, as_json)
    with reporter.progress("writing") as progress:
        sizes = write_nnunet(output, parts.cases, progress)
    counts = {part: len(cases) for part, cases in parts.cases.items()}
    reporter.info(f"{output}: {_counts(counts)}")
    if preprocessed is not None:
        reporter.info(f"{write_splits(preprocessed, output.name, parts.cases)}: fold 0 written")
    heights, widths = zip(*sizes, strict=True)
    planned = _report_plan(median(heights), median(widths), len(sizes), reporter)
    reporter.result({"output": output, "cases": counts, "plan": planned})


@data.command(short_help="Print nnU-Net's plan for a data set.")
def plan(
    name: NameArgument,
    path: PathArgument,
    size: Annotated[int, typer.Option(min=16, max=1024, help="Height and width in pixels.")] = 128,
    split: SplitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print nnU-Net's plan for a data set at the size of this package's networks, and its recipe keys."""
    reporter = Reporter(json=as_json)
    counts = {part: len(cases) for part, cases in _parts(name, path, split).cases.items()}
    reporter.info(f"{name}: {_counts(counts)}")
    planned = _report_plan(size, size, counts["train"] + counts["val"], reporter)
    side, batch = planned["patch"][0], planned["batch"]
    keys = f"data.size={side} model.image_size={side} train.batch_size={batch}"
    reporter.info(f"recipe nnunet: {keys}")
    reporter.result({"cases": counts, "plan": planned, "overrides": keys.split()})


def _parts(name: str, path: Path, split: Path | None) -> "SplitCases":
    """Return the cases by part, split as in `train`."""
    from mlffm_segdiff.config.schema import DataConfig
    from mlffm_segdiff.data.sources import load_split_cases
    from mlffm_segdiff.data.table import DATASETS

    DATASETS.require(name)
    return load_split_cases(
        DataConfig.model_validate({"sources": {name: path}, "split": split and expanded(split)})
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{part} {count}" for part, count in counts.items())


def _report_plan(height: float, width: float, images: int, reporter: Reporter) -> NnunetPlan:
    """Print the plan for images of this median size, and return it."""
    from mlffm_segdiff.models.baselines.nnunet_plan import plan_batch, plan_network

    planned = plan_network(height, width)
    batch = plan_batch(planned, height, width, images)
    reporter.info(
        f"nnU-Net's plan for {images} images, {height:g} high and {width:g} wide (median): "
        f"patch {planned.patch[0]} x {planned.patch[1]}, {len(planned.strides)} stages, batch {batch}"
    )
    return {"patch": planned.patch, "stages": len(planned.strides), "batch": batch}


def _sizes(text: str) -> tuple[int, int, int]:
    parts = text.split("/")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise UserError(f"--sizes {text!r} is not TRAIN/VAL/TEST, for example 1815/259/520")
    train, val, test = map(int, parts)
    return train, val, test


def _print_report(report: "Report", found: "Pairing", reporter: Reporter) -> None:
    from rich.table import Table

    from mlffm_segdiff.data.check_report import report_rows

    if report.findings:
        table = Table("finding", "count", "affects training", "such as", title_justify="left")
        for row in report_rows(report):
            table.add_row(*row)
        reporter.console().print(table)
    verdict = "training would be affected" if report.affects_training else "ready for training"
    if report.hint:
        reporter.info(report.hint)
    if found.official:
        reporter.info(f"{report.pairs:,} of {found.official:,} official pairs")
    if found.ignored:
        reporter.info(f"other files, ignored: {found.ignored:,}")
    groups = len({case.group for case in found.cases()})
    grouped = f" in {groups:,} groups" if found.groups else ""
    reporter.info(f"{report.pairs:,} pairs of image and mask{grouped}; {verdict}")
    findings = [{**asdict(one), "affects_training": one.affects_training} for one in report.findings]
    facts = {
        "pairs": report.pairs,
        "groups": groups,
        "official_pairs": found.official or None,
        "ignored": found.ignored,
    }
    reporter.result({**facts, "affects_training": report.affects_training, "findings": findings})
