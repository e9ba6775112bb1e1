"""What runs the network: torch, or a runtime on exported graphs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from mlffm_segdiff.cli.common import Reporter, chosen_threads, set_threads
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import PrecisionChoice, RuntimeChoice
from mlffm_segdiff.segmenters.device import AUTO

if TYPE_CHECKING:
    import torch

    from mlffm_segdiff.inference.prepared import PreparedModel
    from mlffm_segdiff.segmenters.pretrained import Pretrained

WeightsOption = Annotated[
    str,
    typer.Option(metavar="RUN|WEIGHTS", help="A run folder, a folder of weights, a hub id, or default."),
]
WeightsOrGraphsOption = Annotated[
    str,
    typer.Option(
        metavar="RUN|WEIGHTS",
        help="A run folder, a folder of weights or of exported graphs, a hub id, or default.",
    ),
]
RuntimeOption = Annotated[
    RuntimeChoice | None,
    typer.Option(
        case_sensitive=False,
        help="What runs the network; all but torch run on the CPU [default: torch, "
        "or the runtime of exported weights].",
    ),
]
PrecisionOption = Annotated[
    PrecisionChoice,
    typer.Option(
        case_sensitive=False,
        help="Number format of the network; auto measures which is faster here (on exported graphs: "
        "float32).",
    ),
]


def load_weights(
    name: str, runtime: RuntimeChoice | None, precision: PrecisionChoice, device: str, reporter: Reporter
) -> "tuple[Pretrained, torch.device, bool]":
    """Return weights, where they run, and whether it is on graphs, in a precision that is already chosen.

    Raises:
        UserError: The weights or the device cannot be used, or graphs cannot run on this device.
    """
    from mlffm_segdiff.export.graph_cache import load_graphs
    from mlffm_segdiff.segmenters.device import find_device
    from mlffm_segdiff.segmenters.pretrained import load_pretrained

    place = find_device(device)
    if runtime not in (None, "torch"):
        _require_cpu(device)
    graphs = load_graphs(name, runtime, "float32" if precision == "auto" else precision, reporter.status)
    if graphs is None:
        return load_pretrained(name), place, False
    _require_cpu(device)
    return graphs, find_device("cpu"), True


def _require_cpu(device: str) -> None:
    if device not in (AUTO, "cpu"):
        raise UserError(f"exported graphs run on the CPU, not on {device}; leave out --device")


def prepare_model(
    weights: str,
    runtime: RuntimeChoice | None,
    precision: PrecisionChoice,
    sampling: Mapping[str, object],
    batch_size: int,
    threads: int | None,
    reporter: Reporter,
    device: str = AUTO,
) -> "PreparedModel":
    """Return the model of a command that segments images, made without torch if one graph computes it all.

    One graph has the sampling of the weights; what else is chosen needs torch.
    """
    if not sampling and precision != "bf16" and device in (AUTO, "cpu"):
        from mlffm_segdiff.export.graph_model import load_graph_model

        found = load_graph_model(weights, runtime, chosen_threads(threads), reporter.status)
        if found is not None:
            return found
    set_threads(threads)
    from mlffm_segdiff.inference.model import load_model

    pretrained, place, on_graphs = load_weights(weights, runtime, precision, device, reporter)
    if on_graphs:
        return load_model(pretrained, device=place, sampling=sampling)
    return load_model(pretrained, precision, place, batch_size=max(batch_size, 1), sampling=sampling)
