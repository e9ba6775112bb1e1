"""Graphs as ONNX, run by ONNX Runtime on the processor."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.export.trace import quiet_exporters, trace
from mlffm_segdiff.models.weight_files import require_sound
from mlffm_segdiff.segmenters.base import Part
from mlffm_segdiff.segmenters.precision import Precision

# From 21 on, group normalisation is a separate operator, which ONNX Runtime 1.32 splits into more
# work than the exporter does: networks run 4 to 13 % slower (AVX2, one thread). Between 18,
# the exporter's default, and 20 nothing changes.
OPSET = 18
ONLY_ERRORS = 3


class OnnxGraph:
    """A graph that ONNX Runtime runs; inputs by position."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.names = [given.name for given in session.get_inputs()]

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Return the outputs, on the inputs' device."""
        arrays = (x.cpu().contiguous().numpy() for x in inputs)
        outputs = self.session.run(None, dict(zip(self.names, arrays, strict=True)))
        return [torch.from_numpy(output).to(inputs[0].device) for output in outputs]


def write(part: Part, path: Path) -> None:
    """Write the part with its weights as one ONNX file for any batch size.

    Raises:
        UserError: A package is missing.
    """
    with needs_extra("export"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    with quiet_exporters():
        program = torch.onnx.export(
            trace(part),
            dynamic_shapes=({0: "batch"}, *[{}] * (len(part.inputs) - 1)),  # a name: all share one axis
            input_names=part.input_names,
            output_names=part.output_names,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    program.save(path)


def check_precision(precision: Precision) -> None:
    """Raise UserError if ONNX Runtime is missing, or cannot compute in this precision."""
    import_onnxruntime()
    if precision != "float32":
        raise UserError(
            f"ONNX Runtime does not compute in {precision} on a processor; "
            "use --precision float32, or weights that are not exported with --runtime torch or openvino"
        )


def read(path: Path, precision: Precision, threads: int) -> OnnxGraph:
    """Load the graph in an ONNX file, run with this number of threads.

    Raises:
        UserError: As `check_precision`; the file is not such a graph, or its weights are damaged.
    """
    check_precision(precision)
    _require_sound(path)
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = ONLY_ERRORS
    # As with torch (see `cli.app.main`): threads that spin while they wait collapse on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return OnnxGraph(runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # its exceptions have no common base class
        raise _not_a_graph(path, error) from error


def _require_sound(path: Path) -> None:
    """Raise UserError if a graph's weights are damaged; ONNX Runtime turns NaN into 0 in some layers."""
    with needs_extra("export"):
        import onnx
        from onnx import numpy_helper
    try:
        initializers = onnx.load(path).graph.initializer
        weights = {one.name: torch.from_numpy(np.array(numpy_helper.to_array(one))) for one in initializers}
    except Exception as error:  # protobuf's and numpy's, for a file of any content
        raise _not_a_graph(path, error) from error
    require_sound({name: value for name, value in weights.items() if value.ndim}, str(path))


def _not_a_graph(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is not a graph that ONNX Runtime reads ({error}); export it again")


def import_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry off, unless the environment turns it on."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with needs_extra("export"):
        import onnxruntime
    return onnxruntime
