"""What runs the network: torch, or a runtime on exported graphs."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlffm_segdiff.cli.common import Reporter
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import PrecisionChoice

if TYPE_CHECKING:
    import torch

    from mlffm_segdiff.segmenters.pretrained import Pretrained

Runtime = Literal["torch", "onnx", "openvino"]
WeightsOption = Annotated[
    str,
    typer.Option(
        metavar="RUN|WEIGHTS",
        help="A run folder, a folder of weights or of exported graphs, a hub id, or default.",
    ),
]
RuntimeOption = Annotated[
    Runtime | None,
    typer.Option(
        help="What runs the network; all but torch run on the CPU [default: torch, "
        "or the runtime of exported weights]."
    ),
]
PrecisionOption = Annotated[
    PrecisionChoice,
    typer.Option(
        help="Number format of the network; auto measures which is faster here (on exported graphs: float32)."
    ),
]


def load_weights(
    name: str, runtime: Runtime | None, precision: PrecisionChoice, reporter: Reporter
) -> "tuple[Pretrained, bool]":
    """Return weights, and whether a runtime runs them on the CPU, in a precision that is already chosen."""
    from mlffm_segdiff.export.graph_cache import load_graphs
    from mlffm_segdiff.segmenters.pretrained import load_pretrained

    graphs = load_graphs(name, runtime, "float32" if precision == "auto" else precision, reporter.status)
    return (graphs, True) if graphs is not None else (load_pretrained(name), False)


def runtime_device(device: str, on_graphs: bool) -> "torch.device":
    """Return where the network runs, which for exported graphs is the CPU. Raises UserError for another."""
    from mlffm_segdiff.segmenters.device import AUTO, find_device

    if on_graphs and device not in (AUTO, "cpu"):
        raise UserError(f"exported graphs run on the CPU, not on {device}; leave out --device")
    return find_device("cpu" if on_graphs else device)
