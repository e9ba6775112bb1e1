"""``mlffm-segdiff predict``: masks of the user's own images."""

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
from mlffm_segdiff.cli.runtime import PrecisionOption, RuntimeOption, load_graphs
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
from mlffm_segdiff.config.products import MapFormat, Product, TableFormat

if TYPE_CHECKING:
    from mlffm_segdiff.inference.listing import ImageFiles
    from mlffm_segdiff.inference.outputs.output import Output
    from mlffm_segdiff.segmenters.sampling import SamplingChoices


def predict(
    places: Annotated[
        list[str],
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|FOLDER|ZIP|PATTERN|URL",
            help="An image, or where images are; a pattern in quotes. Repeatable.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the results go.")],
    weights: Annotated[
        str,
        typer.Option(
            metavar="RUN|WEIGHTS",
            help="A run folder, a folder of weights or of exported graphs, a hub id, or default.",
        ),
    ] = "default",
    samples: SamplesOption = None,
    steps: StepsOption = None,
    sampler: SamplerOption = None,
    seed: SeedOption = None,
    fusion: FusionOption = None,
    style: StyleOption = None,
    mirror: MirrorOption = None,
    second_look: SecondLookOption = None,
    write: Annotated[
        list[Product] | None, typer.Option("--write", "-w", help="Write this too. Repeatable.")
    ] = None,
    maps: Annotated[
        MapFormat, typer.Option(help="Probability and spread as 16-bit PNG, or as float32 NPY.")
    ] = "png",
    table: Annotated[TableFormat, typer.Option(help="What the table of numbers is.")] = "csv",
    mm_per_pixel: Annotated[
        float | None, typer.Option(help="Side of a pixel in millimetres [default: what DICOM files tell].")
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Write a page of all cases, those in doubt first.")
    ] = False,
    threshold: Annotated[float, typer.Option(help="A pixel is lesion from this probability.")] = 0.5,
    keep_specks: Annotated[
        bool,
        typer.Option("--keep-specks", help="Keep components smaller than 0.1 % of the lesion's area."),
    ] = False,
    largest: Annotated[bool, typer.Option("--largest", help="Keep only the largest component.")] = False,
    fill_holes: Annotated[bool, typer.Option("--fill-holes", help="Fill holes in the mask.")] = False,
    batch_size: Annotated[int, typer.Option(help="Images segmented at once; changes speed only.")] = 8,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Segment images: for each, a mask of its own size, and a row of numbers in predictions.csv.

    By default the mask is that of the posterior mean, computed in one step;
    --samples N draws N samples and takes their mean. Components smaller than
    0.1 % of the lesion's area are removed (--keep-specks keeps them).

    Writes masks/NAME.png (0 and 255), and on request maps of the probability
    and of the samples' spread, overlays with the outline, contours as GeoJSON,
    one COCO file, DICOM SEG (of DICOM files), nnU-Net's layout and a page to
    review the cases, which any browser opens. Images are
    PNG, JPEG, TIFF, BMP, WebP, HEIC or DICOM. Of a folder, those directly in it
    are taken. Images that cannot be read are named and skipped; the exit status
    is then 1.

    Example: mlffm-segdiff predict -i photos -o results -w overlay -w contours
    """
    import torch

    from mlffm_segdiff.inference.files import predict_files
    from mlffm_segdiff.inference.model import load_model
    from mlffm_segdiff.inference.outputs.output import Output
    from mlffm_segdiff.inference.postprocessing import PostProcessing
    from mlffm_segdiff.inference.reading import find_images
    from mlffm_segdiff.inference.table import row_values

    found = find_images(*places)
    set_threads(threads)
    reporter = Reporter(quiet, as_json)
    graphs = load_graphs(weights, runtime, precision, reporter)
    choices: SamplingChoices = {
        "samples": samples,
        "steps": steps,
        "sampler": sampler,
        "seed": seed,
        "fusion": fusion,
        "style": style,
        "mirror": mirror,
        "second_look": second_look,
    }
    if graphs is None:
        model = load_model(weights, precision, batch_size=max(batch_size, 1), **choices)
    else:
        model = load_model(graphs, device=torch.device("cpu"), **choices)
    products = frozenset(write or ()) | ({Product.REVIEW} if review else frozenset())
    if precision == "auto":
        reporter.warn(f"precision: {model.precision}")
    target = Output(output.expanduser(), products, maps, table)
    post = PostProcessing(keep_specks, largest, fill_holes)
    failed, kept = 0, []
    with reporter.progress("segmenting") as progress:
        rows = predict_files(found.images, model, target, threshold, batch_size, mm_per_pixel, post)
        for done, row in enumerate(rows, 1):
            if row.failed:
                failed += 1
                typer.echo(f"skipped: {row.error}", err=True)
            if as_json:
                kept.append(row_values(row))
            progress(done, len(found.images))
    reporter.result({"output": target.folder, "table": target.table, "failed": failed, "images": kept})
    _report(found, target, failed, reporter)


def _report(found: "ImageFiles", target: "Output", failed: int, reporter: Reporter) -> None:
    """Say what was done and where it lies; exit with status 1 if files failed."""
    if found.others:
        endings = ", ".join(sorted({Path(other.name).suffix or other.name for other in found.others}))
        reporter.warn(f"left alone, no pictures by their ending: {len(found.others)} ({endings})")
    done = len(found.images) - failed
    reporter.info(f"{done} of {len(found.images)} images segmented: {target.folder}")
    if failed:
        typer.echo(f"could not be read: {failed}; {target.table} says why", err=True)
        raise typer.Exit(ExitStatus.FAULTS)
