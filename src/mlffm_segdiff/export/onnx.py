"""Graphs as ONNX, run by ONNX Runtime on the CPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.export.onnx_session import check_precision as check_precision
from mlffm_segdiff.export.onnx_session import not_a_graph, open_session
from mlffm_segdiff.export.trace import quiet_exporters, trace
from mlffm_segdiff.models.weight_files import require_sound
from mlffm_segdiff.segmenters.base import Part
from mlffm_segdiff.segmenters.precision import Precision

# From 21 on, group normalisation is a separate operator, which ONNX Runtime 1.32 splits into more
# work than the exporter does: networks run 4 to 13 % slower (AVX2, one thread). Between 18,
# the exporter's default, and 20 nothing changes.
OPSET = 18


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


def write(part: Part, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the part with its weights as one ONNX file for any batch size.

    Args:
        part: Part to export, in evaluation mode.
        path: ONNX file to write.
        metadata: Texts by name, which the file keeps in its ``metadata_props``.

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
    program.model.metadata_props.update(metadata or {})
    program.save(path)


def read(path: Path, precision: Precision, threads: int) -> OnnxGraph:
    """Load the graph in an ONNX file, run with this number of threads.

    Raises:
        UserError: As `check_precision`; the file is not such a graph, or its weights are damaged.
    """
    check_precision(precision)
    _require_sound(path)
    return OnnxGraph(open_session(path, threads))


def _require_sound(path: Path) -> None:
    """Raise UserError if a graph's weights are damaged; ONNX Runtime turns NaN into 0 in some layers."""
    with needs_extra("export"):
        import onnx
        from onnx import numpy_helper
    try:
        initializers = onnx.load(path).graph.initializer
        weights = {one.name: torch.from_numpy(np.array(numpy_helper.to_array(one))) for one in initializers}
    except Exception as error:  # protobuf's and numpy's, for a file of any content
        raise not_a_graph(path, error) from error
    require_sound({name: value for name, value in weights.items() if value.ndim}, str(path))
