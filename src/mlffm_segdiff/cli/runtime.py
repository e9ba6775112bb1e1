"""What runs the network: torch, or a runtime on exported graphs."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlffm_segdiff.cli.common import Reporter
from mlffm_segdiff.config.errors import UserError

if TYPE_CHECKING:
    from mlffm_segdiff.segmenters.precision import Precision
    from mlffm_segdiff.segmenters.pretrained import Pretrained

Runtime = Literal["torch", "onnx", "openvino"]
PrecisionChoice = Literal["auto", "float32", "bf16"]
RuntimeOption = Annotated[
    Runtime | None,
    typer.Option(
        help="What runs the network, all but torch on the processor [default: torch, "
        "or what exported weights are for]."
    ),
]
PrecisionOption = Annotated[
    PrecisionChoice,
    typer.Option(
        help="What the network computes in; auto measures which is faster here (on exported graphs: float32)."
    ),
]


def load_graphs(
    weights: str, runtime: Runtime | None, choice: PrecisionChoice, reporter: Reporter
) -> "Pretrained | None":
    """Return the weights on the runtime's graphs; None where torch runs the network itself.

    An exported folder is read as it is. The graphs of other weights are made once and kept in the user's
    cache.
    Raises UserError for a runtime that is not installed, does not suit the folder, or cannot compute so.
    """
    from mlffm_segdiff.export.folder import is_export, read_export, read_manifest

    folder = Path(weights).expanduser()
    precision: Precision = "float32" if choice == "auto" else choice
    if is_export(folder):
        found = read_manifest(folder).format
        if runtime not in (None, found):
            raise UserError(f"{folder} holds graphs for {found}, not {runtime}; leave out --runtime")
    elif runtime is None or runtime == "torch":
        return None
    else:
        return _read_kept(weights, runtime, precision, reporter)
    return read_export(folder, precision)


def _read_kept(
    weights: str, runtime: Literal["onnx", "openvino"], precision: "Precision", reporter: Reporter
) -> "Pretrained":
    """Return the weights on their kept graphs, which are made anew where they cannot be read."""
    from mlffm_segdiff.export.folder import read_export

    folder = _kept(weights, runtime, precision, reporter)
    try:
        return read_export(folder, precision)
    except UserError:
        shutil.rmtree(folder)
    return read_export(_kept(weights, runtime, precision, reporter), precision)


def _kept(
    weights: str, runtime: Literal["onnx", "openvino"], precision: "Precision", reporter: Reporter
) -> Path:
    from mlffm_segdiff.export.folder import runtime_of
    from mlffm_segdiff.export.kept import kept_export
    from mlffm_segdiff.segmenters.pretrained import load_pretrained

    runtime_of(runtime).check_precision(precision)
    with reporter.status(f"making the graphs for {runtime}, once"):
        return kept_export(load_pretrained(weights), runtime)
