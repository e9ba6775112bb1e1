"""``mlffm-segdiff compare``: masks of several methods against one ground truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlffm_segdiff.cli.common import JsonOption, PropertiesOption, QuietOption, Reporter, named_path
from mlffm_segdiff.config.schema import MissingMasks

if TYPE_CHECKING:
    from mlffm_segdiff.study.report.scored_variants import ScoredVariants


def compare(
    masks: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FOLDER",
            help="Masks of a method, from any program. Repeat it for each method; the same NAME again is "
            "another run of that method, such as another training seed.",
        ),
    ],
    truth: Annotated[Path, typer.Option(metavar="FOLDER", help="Ground truth.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the report goes.")],
    properties: PropertiesOption = None,
    images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw the worst cases on these images.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Method that the others are compared with [default: the first]."),
    ] = None,
    missing: Annotated[
        MissingMasks,
        typer.Option(
            case_sensitive=False,
            help="Images of which a folder has no mask: error refuses them, empty scores them as empty "
            "masks, skip leaves them out for every method.",
        ),
    ] = "error",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare masks of several methods on the same images, and report what differs.

    Masks are matched with the ground truth by name, as evaluate does, and scored at its size. Writes
    report.md, report.html, tables, figures, and scores.csv with one row per image and method: scores with
    intervals, also by lesion size, paired Wilcoxon tests with Holm's correction, effect sizes, a
    critical-difference diagram of three or more methods, and the worst cases.

    Example: mlffm-segdiff compare --masks ours=OURS --masks nnunet=THEIRS --truth TRUTH -o comparison
    """
    from mlffm_segdiff.config.extra import needs_extra

    with needs_extra("study"):
        from mlffm_segdiff.study.mask_comparison import compare as compare_masks
    reporter, folders = Reporter(quiet, as_json), _folders(masks)
    found = compare_masks(
        folders,
        truth,
        output,
        properties=properties,
        images=images,
        baseline=baseline,
        missing=missing,
        show=reporter.progress,
    )
    for note in found.facts["notes"]:
        reporter.info(note)
    _print_scores(found.scored, reporter)
    for verdict in found.facts["verdicts"]:
        reporter.info(verdict)
    reporter.info(f"report: {found.folder}")
    reporter.result({"output": found.folder, **found.facts})


def _folders(texts: Sequence[str]) -> dict[str, list[Path]]:
    folders: dict[str, list[Path]] = {}
    for text in texts:
        name, path = named_path("--masks", text, "--masks ours=OUT/masks")
        folders.setdefault(name, []).append(Path(path))
    return folders


def _print_scores(scored: "ScoredVariants", reporter: Reporter) -> None:
    """Print one row per score, and one column per method."""
    from rich.table import Table

    from mlffm_segdiff.study.report.score_tables import score_table

    shown = score_table(scored, "source").shown.set_index(scored.noun)
    table = Table("", *shown.index)
    for name in shown:
        table.add_row(str(name), *shown[name])
    reporter.console().print(table)
