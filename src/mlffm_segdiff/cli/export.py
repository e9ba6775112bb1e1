"""``mlffm-segdiff export``: the network as graphs that other programs run."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mlffm_segdiff.cli.common import JsonOption, QuietOption, Reporter
from mlffm_segdiff.config.errors import UserError


def export(
    weights: Annotated[
        str,
        typer.Argument(
            metavar="RUN|WEIGHTS",
            show_default=False,
            help="A run folder, a folder of weights, a hub id, or default.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder for the graphs or bundle.")
    ],
    graph_format: Annotated[
        Literal["onnx", "openvino", "torch", "monai"],
        typer.Option(
            "--format",
            help="onnx; openvino (.xml and .bin); torch: programs of torch.export; monai: a MONAI bundle.",
        ),
    ] = "onnx",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the network as graphs in float32, for any batch size, with its recipe.

    A diffusion model gives two graphs: the encoder, run once per image, and the denoiser, run at each step.
    The sampler between the steps is not exported: predict and serve run it, with the folder as --weights (not
    for torch, whose files torch loads by pickle).

    A MONAI bundle has the weights, not graphs: MONAI runs them with this package.

    Example: mlffm-segdiff export default --format onnx -o graphs
    """
    from mlffm_segdiff.export.folder import write_export
    from mlffm_segdiff.export.monai_bundle import write_bundle
    from mlffm_segdiff.segmenters.pretrained import load_pretrained

    reporter, folder = Reporter(quiet, as_json), output.expanduser()
    if folder.exists():
        raise UserError(f"{folder} exists already; choose another folder, or delete it")
    pretrained = load_pretrained(weights)
    with reporter.status(f"exporting for {graph_format}"):
        if graph_format == "monai":
            write_bundle(pretrained, folder)
        else:
            write_export(pretrained, graph_format, folder)
    written = sorted(path.name for path in folder.iterdir())
    reporter.info(f"exported: {output} ({', '.join(written)})")
    reporter.result({"output": folder, "format": graph_format, "files": written})
