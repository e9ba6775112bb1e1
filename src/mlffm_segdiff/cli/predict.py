"""``mlffm-segdiff predict``: masks of the user's own images."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlffm_segdiff.cli.common import (
    DeviceOption,
    ExitStatus,
    JsonOption,
    LevelOption,
    QuietOption,
    Reporter,
    ThreadsOption,
    refuse_given,
)
from mlffm_segdiff.cli.predict_report import left_out_counts, report_left_out
from mlffm_segdiff.cli.predict_shards import (
    AddressOption,
    Cluster,
    EngineOption,
    GpusOption,
    ShardSizeOption,
    ShardsOption,
    WorkersOption,
    predict_into_shards,
)
from mlffm_segdiff.cli.runtime import PrecisionOption, RuntimeOption, WeightsOrGraphsOption, prepare_model
from mlffm_segdiff.cli.sampling import SamplesOption, StyleOption, sampling_overrides
from mlffm_segdiff.cli.terminal import say
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.sampling_arguments import KNOWN_KEYS
from mlffm_segdiff.config.spelling import known_name
from mlffm_segdiff.inference.outputs.writers import WRITERS, MapFormat, TableFormat
from mlffm_segdiff.segmenters.device import AUTO

if TYPE_CHECKING:
    from mlffm_segdiff.inference.outputs.predictions import Cell, Row

SETTING = re.compile(r"[\w.]+=(?!.*\.[A-Za-z]\w*$)[^/]*")
"""KEY=VALUE, and not a URL with a query or the name of a file."""


def predict(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where results go.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGES|sampling.KEY=VALUE]...",
            help="Images: files, folders, zip archives, lists, shards, patterns or URLs; and sampling "
            f"settings to change, such as sampling.steps=8; {KNOWN_KEYS}.",
        ),
    ] = None,
    places: Annotated[
        list[str] | None,
        typer.Option(
            "--input", "-i", metavar="IMAGES", help="Images, as the arguments without an option. Repeatable."
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Also segment the images in subfolders of folders.")
    ] = False,
    weights: WeightsOrGraphsOption = "default",
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
        MapFormat,
        typer.Option(case_sensitive=False, help="Probability and spread as 16-bit PNG, or as float32 NPY."),
    ] = "png",
    table: Annotated[
        TableFormat, typer.Option(case_sensitive=False, help="Format of the table of predictions.")
    ] = "csv",
    mm_per_pixel: Annotated[
        float | None, typer.Option(help="Side of a pixel in millimetres [default: from DICOM files].")
    ] = None,
    level: LevelOption = None,
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
    batch_size: Annotated[
        int,
        typer.Option(
            help="Images segmented at once; changes the speed, and results only in the last digits."
        ),
    ] = 8,
    shards: ShardsOption = None,
    shard_size: ShardSizeOption = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    workers: WorkersOption = None,
    gpus: GpusOption = None,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Keep the results of images that an earlier run into the folder finished, if image, weights "
            "and settings, with --batch-size, are the same.",
        ),
    ] = False,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    device: DeviceOption = AUTO,
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
    the band between inner and outer contour, one COCO file, DICOM SEG (for
    DICOM files), nnU-Net's layout and a page to review the cases, which any
    browser opens. Images are PNG, JPEG, TIFF, BMP, WebP, GIF, AVIF, HEIC (needs
    pillow-heif) or DICOM (extra dicom); URLs need the extra remote. Images that
    cannot be read, and outputs that cannot be written, are reported; the exit
    status is then 1. Results of an earlier run in the folder are replaced; other
    files stay.

    For very many images, --shards writes masks and contours into few files, and
    --engine ray makes the same files on a cluster; see docs/SCALE.md.

    Example: mlffm-segdiff predict photos -o results -w overlay -w review
    """
    from mlffm_segdiff.files.atomic import require_writable_folder
    from mlffm_segdiff.inference.analysis import Processing, missing_estimates
    from mlffm_segdiff.inference.outputs.predictions import row_values
    from mlffm_segdiff.inference.outputs.writers import Output
    from mlffm_segdiff.inference.postprocessing import PostProcessing
    from mlffm_segdiff.inference.predict import predict_files
    from mlffm_segdiff.inference.reading.case_image import find_images
    from mlffm_segdiff.inference.reading.listing import list_place, merged
    from mlffm_segdiff.inference.shards.plan import DEFAULT_SIZE, ShardOptions

    more, sampling = _split_arguments(arguments or ())
    if not (places or more):
        raise UserError("no images are given; for example: mlffm-segdiff predict photos -o results")
    post = PostProcessing(keep_specks, largest, fill_holes)
    processing = Processing(threshold, post, mm_per_pixel, level=level, refuse_outliers=refuse_outliers)
    reporter = Reporter(quiet, as_json)
    overrides = sampling_overrides(sampling, samples, style)
    cluster = Cluster(engine, address, workers, gpus)
    require_writable_folder(expanded(output))
    load = partial(prepare_model, weights, runtime, precision, overrides, batch_size, device=device)
    if shards or engine == "ray":
        refuse_given(context, "shards have only masks, contours and a table", "write", "maps")
        refuse_given(context, "a repeated command keeps finished shards anyway", "skip_existing")
        if precision == "auto":
            raise UserError("--precision auto may differ between workers; give float32 or bf16")
        options = ShardOptions(
            expanded(output), shards or "tar", shard_size or DEFAULT_SIZE, batch_size, processing
        )
        found = merged([list_place(place, recursive) for place in (*(places or ()), *more)])
        predict_into_shards(found, load, options, table, cluster, threads, reporter)
        return
    if shard_size:
        raise UserError("--shard-size needs --shards; add --shards tar or --shards parquet")
    written = tuple(known_name(name, WRITERS) for name in write or ())
    if not {"probability", "spread"}.intersection(written):
        refuse_given(context, "--maps needs -w probability or -w spread", "maps")
    found = find_images(*(places or ()), *more, recursive=recursive)
    model = load(threads, reporter)
    if precision == "auto":
        reporter.warn(f"precision: {model.precision}")
    target = Output(expanded(output), written, maps, table)
    counts: Counter[str] = Counter()
    values: list[dict[str, Cell]] = []
    faults: list[str] = []
    with reporter.progress("segmenting") as progress:
        stream = predict_files(
            found.images, model, target, processing, batch_size, faults.append, skip_existing
        )
        for row in stream:
            if not counts and (lacking := missing_estimates(model, processing)):
                reporter.warn(lacking)
            counts[row.status] += 1
            if as_json:
                values.append(row_values(row))
            _report_fault(row)
            progress(counts.total(), len(found.images))
    refused, failed = counts["refused"], counts["failed"]
    for fault in faults:
        say(fault, err=True)
    reporter.result(
        {
            "output": target.folder,
            "table": target.table_path,
            **left_out_counts(found, failed, refused),
            "images": values,
        }
    )
    done = counts.total() - failed - refused
    reporter.info(f"{done} of {counts.total()} images segmented: {target.folder}")
    report_left_out(found, target.table_path, failed, refused, reporter)
    if faults or set(counts) - {"done", "refused"}:
        raise typer.Exit(ExitStatus.FAULTS)


def _split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the images, and the sampling settings."""
    settings = [text for text in arguments if SETTING.fullmatch(text) and not os.path.exists(text)]  # noqa: PTH110
    return [text for text in arguments if text not in settings], settings


def _report_fault(row: "Row") -> None:
    if row.status == "incomplete":
        say(f"incomplete: {row.image}: {row.error}", err=True)
    elif row.failed:
        say(f"{'refused' if row.status == 'refused' else 'skipped'}: {row.error}", err=True)
