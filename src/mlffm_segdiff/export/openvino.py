"""Graphs as OpenVINO, run on the CPU."""

import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.export import onnx
from mlffm_segdiff.models.weight_files import require_sound
from mlffm_segdiff.segmenters.base import Part
from mlffm_segdiff.segmenters.precision import Precision

DEVICE = "CPU"
TYPES = {"float32": "f32", "bf16": "bf16"}
COMPILED = 4
"""Number of batch sizes, the last used ones, for which a graph stays compiled."""


class OpenVINOGraph:
    """A graph that OpenVINO runs; inputs by position.

    It is compiled for each batch size, which runs up to a sixth faster than a graph for any batch size.
    """

    def __init__(self, model: Any, core: Any, settings: Mapping[str, object]) -> None:
        self.model = model
        self.core = core
        self.settings = settings
        self.compiled_for = lru_cache(COMPILED)(self._compile)

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Return the outputs, on the inputs' device."""
        arrays = [x.cpu().contiguous().numpy() for x in inputs]
        outputs = self.compiled_for(len(inputs[0]))(arrays, share_inputs=True).to_tuple()
        return [torch.from_numpy(output).to(inputs[0].device) for output in outputs]

    def _compile(self, batch: int) -> Any:
        model = self.model.clone()
        model.reshape({given: [batch, *given.get_partial_shape()[1:]] for given in model.inputs})
        return self.core.compile_model(model, DEVICE, self.settings)


def write(part: Part, path: Path) -> None:
    """Write the part as ``path`` (.xml) with its float32 weights next to it (.bin).

    The part is converted through ONNX: OpenVINO's conversion of a torch.export program loses height and
    width, runs a little slower, and can crash when these are set again.

    Raises:
        UserError: A package is missing.
    """
    openvino = import_openvino()
    with TemporaryDirectory() as folder:
        source = Path(folder, "graph.onnx")
        onnx.write(part, source)
        openvino.save_model(openvino.Core().read_model(source), path, compress_to_fp16=False)


def check_precision(precision: Precision) -> None:
    """Raise UserError if OpenVINO is missing, or cannot compute in this precision on this CPU."""
    able = import_openvino().Core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in able:
        raise UserError("this CPU has no bf16 for OpenVINO to use; use --precision float32")


def read(path: Path, precision: Precision, threads: int) -> OpenVINOGraph:
    """Load the graph in an .xml file and the .bin next to it, run with this number of threads.

    The precision is always set, because OpenVINO defaults to bf16 on processors that have it.

    Raises:
        UserError: As `check_precision`; the file is not such a graph, or its weights are damaged.
    """
    check_precision(precision)
    core = import_openvino().Core()
    settings = {
        "INFERENCE_PRECISION_HINT": TYPES[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    try:
        model = core.read_model(path)
        weights = {
            node.get_friendly_name(): torch.from_numpy(np.array(node.data))
            for node in model.get_ops()
            if node.get_type_name() == "Constant"
        }
    except (RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"{path} is not a graph that OpenVINO reads ({error}); export it again") from error
    require_sound({name: value for name, value in weights.items() if value.ndim}, str(path))
    return OpenVINOGraph(model, core, settings)


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which otherwise reports each import to Google Analytics."""
    telemetry = "openvino_telemetry"
    kept = sys.modules.get(telemetry)
    sys.modules[telemetry] = None  # type: ignore[assignment]
    try:
        with needs_extra("export"):
            import openvino
    finally:
        del sys.modules[telemetry]
        if kept is not None:
            sys.modules[telemetry] = kept
    return openvino
