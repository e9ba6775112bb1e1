"""``mlffm-segdiff export``: the network as graphs that other programs run."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mlffm_segdiff.cli.common import JsonOption, QuietOption, Reporter
from mlffm_segdiff.cli.sampling import SamplingArgument, sampling_overrides


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
            case_sensitive=False,
            help="onnx; openvino (.xml and .bin); torch: programs of torch.export; monai: a MONAI bundle.",
        ),
    ] = "onnx",
    sampling: SamplingArgument = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the network as graphs in float32, for any batch size, with its recipe.

    For onnx, segmenter.onnx is the whole way from a batch of images (RGB, uint8) to probabilities and masks,
    for any program. By default it computes the posterior mean; sampling.samples=8 sampling.steps=4 makes it
    the mean of eight samples. It cannot hold sampler dpm, fusion staple or a second look.

    In all formats, a diffusion model also gives two graphs: the encoder, run once per image, and the
    denoiser, run at each step. The sampler between the steps is not in them: predict and serve run it, with
    the folder as --weights (not for torch, whose files torch loads by pickle).

    A MONAI bundle has the weights, not graphs: MONAI runs them with this package.

    Example: mlffm-segdiff export default --format onnx -o graphs
    """
    from mlffm_segdiff.export.export_model import export_model

    reporter, overrides = Reporter(quiet, as_json), sampling_overrides(sampling, None, None)
    with reporter.status(f"exporting for {graph_format}"):
        folder = export_model(weights, output, graph_format, overrides)
    written = sorted(path.name for path in folder.iterdir())
    reporter.info(f"exported: {output} ({', '.join(written)})")
    reporter.result({"output": folder, "format": graph_format, "files": written})
