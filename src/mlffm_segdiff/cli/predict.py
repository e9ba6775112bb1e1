"""``mlffm-segdiff predict``: masks of the user's own images."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlffm_segdiff.cli.common import (
    ExitStatus,
    JsonOption,
    QuietOption,
    Reporter,
    ThreadsOption,
    set_threads,
)
from mlffm_segdiff.cli.runtime import PrecisionOption, RuntimeOption, WeightsOption, load_weights
from mlffm_segdiff.cli.sampling import SAMPLING_KEYS, SamplesOption, StyleOption, sampling_overrides
from mlffm_segdiff.cli.terminal import say
from mlffm_segdiff.inference.outputs.writers import WRITERS, MapFormat, TableFormat

if TYPE_CHECKING:
    from mlffm_segdiff.inference.outputs.predictions import Row
    from mlffm_segdiff.inference.outputs.writers import Output
    from mlffm_segdiff.inference.reading.listing import ImageFiles


def predict(
    places: Annotated[
        list[str],
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|FOLDER|ZIP|PATTERN|URL",
            help="An image, or a place with images. Repeatable.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where results go.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|sampling.KEY=VALUE]...",
            help="More images, so that -i takes a pattern that the shell expands; and sampling settings to "
            f"change, such as sampling.steps=8. Keys: {SAMPLING_KEYS}.",
        ),
    ] = None,
    weights: WeightsOption = "default",
    samples: SamplesOption = None,
    style: StyleOption = None,
    write: Annotated[
        list[str] | None,
        typer.Option(
            "--write",
            "-w",
            metavar="|".join(WRITERS),
            help="Also write this output. Repeatable.",
            autocompletion=lambda: list(WRITERS),
        ),
    ] = None,
    maps: Annotated[
        MapFormat, typer.Option(help="Probability and spread as 16-bit PNG, or as float32 NPY.")
    ] = "png",
    table: Annotated[TableFormat, typer.Option(help="Format of the table of predictions.")] = "csv",
    mm_per_pixel: Annotated[
        float | None, typer.Option(help="Side of a pixel in millimetres [default: from DICOM files].")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Probability threshold.")] = 0.5,
    keep_specks: Annotated[
        bool,
        typer.Option("--keep-specks", help="Keep components smaller than 0.1 % of the lesion's area."),
    ] = False,
    largest: Annotated[bool, typer.Option("--largest", help="Keep only the largest component.")] = False,
    fill_holes: Annotated[bool, typer.Option("--fill-holes", help="Fill holes in the mask.")] = False,
    refuse_outliers: Annotated[
        bool,
        typer.Option(
            "--refuse-outliers",
            help="Write no mask of an image that is flagged as not_dermoscopy; its row says why.",
        ),
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Images segmented at once; changes speed only.")] = 8,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Keep the results of images that an earlier run into the folder finished, if image, weights "
            "and settings are the same.",
        ),
    ] = False,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Segment images: a mask of its own size for each, and a row of numbers in predictions.csv.

    By default the mask is that of the posterior mean, computed in one step;
    --samples N draws N samples and takes their mean. Components smaller than
    0.1 % of the lesion's area are removed (--keep-specks keeps them).

    Writes masks/NAME.png (0 and 255), and on request maps of the probability
    and of the samples' spread, overlays with the outline, contours as GeoJSON,
    one COCO file, DICOM SEG (for DICOM files), nnU-Net's layout and a page to
    review the cases, which any browser opens. Images are PNG, JPEG, TIFF, BMP,
    WebP, HEIC or DICOM. Folders are not searched recursively. Images that
    cannot be read, and outputs that cannot be written, are reported; the exit
    status is then 1. Results of an earlier run in the folder are replaced; other
    files stay.

    Example: mlffm-segdiff predict -i photos -o results -w overlay -w review
    """
    import torch

    from mlffm_segdiff.inference.model import load_model
    from mlffm_segdiff.inference.outputs.predictions import row_values
    from mlffm_segdiff.inference.outputs.writers import Output
    from mlffm_segdiff.inference.postprocessing import PostProcessing
    from mlffm_segdiff.inference.predict import predict_files
    from mlffm_segdiff.inference.reading.case_image import find_images
    from mlffm_segdiff.inference.result import Processing

    more, sampling = _split_arguments(arguments or ())
    found = find_images(*places, *more)
    post = PostProcessing(keep_specks, largest, fill_holes)
    processing = Processing(threshold, post, mm_per_pixel, refuse_outliers)
    set_threads(threads)
    reporter = Reporter(quiet, as_json)
    overrides = sampling_overrides(sampling, samples, style)
    pretrained, on_graphs = load_weights(weights, runtime, precision, reporter)
    if on_graphs:
        model = load_model(pretrained, device=torch.device("cpu"), sampling=overrides)
    else:
        model = load_model(pretrained, precision, batch_size=max(batch_size, 1), sampling=overrides)
    if precision == "auto":
        reporter.warn(f"precision: {model.precision}")
    if model.quality and (calibrated := model.quality.mismatch(model.sampling)):
        reporter.warn(f"no expected Dice: the weights are calibrated for {calibrated}")
    target = Output(output.expanduser(), tuple(write or ()), maps, table)
    rows: list[Row] = []
    faults: list[str] = []
    with reporter.progress("segmenting") as progress:
        stream = predict_files(
            found.images, model, target, processing, batch_size, faults.append, skip_existing
        )
        for row in stream:
            rows.append(row)
            _report_fault(row)
            progress(len(rows), len(found.images))
    if refuse_outliers and model.outliers is None:
        reporter.warn("no image is refused: these weights have no outlier detector")
    refused = sum(row.status == "refused" for row in rows)
    failed = sum(row.failed for row in rows) - refused
    for fault in faults:
        say(fault, err=True)
    reporter.result(
        {
            "output": target.folder,
            "table": target.table_path,
            "failed": failed,
            "refused": refused,
            "images": [row_values(row) for row in rows],
        }
    )
    _report(found, target, failed, refused, reporter)
    if faults or any(row.status not in {"done", "refused"} for row in rows):
        raise typer.Exit(ExitStatus.FAULTS)


def _split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the images, and the sampling settings."""
    settings = [text for text in arguments if "=" in text and not os.path.exists(text)]  # noqa: PTH110
    return [text for text in arguments if text not in settings], settings


def _report_fault(row: "Row") -> None:
    if row.status == "incomplete":
        say(f"incomplete: {row.image}: {row.error}", err=True)
    elif row.failed:
        say(f"{'refused' if row.status == 'refused' else 'skipped'}: {row.error}", err=True)


def _report(found: "ImageFiles", target: "Output", failed: int, refused: int, reporter: Reporter) -> None:
    if found.others:
        endings = ", ".join(sorted({Path(other.name).suffix or other.name for other in found.others}))
        reporter.warn(f"skipped, not images by their extension: {len(found.others)} ({endings})")
    done = len(found.images) - failed - refused
    reporter.info(f"{done} of {len(found.images)} images segmented: {target.folder}")
    if refused:
        say(f"refused as not dermoscopic: {refused}; see {target.table_path}", err=True)
    if failed:
        say(f"could not be read: {failed}; see {target.table_path}", err=True)
