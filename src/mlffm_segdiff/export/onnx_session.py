"""ONNX Runtime on the CPU; needs no torch."""

import os
from pathlib import Path
from typing import Any

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.config.schema import Precision

ONLY_ERRORS = 3


def check_precision(precision: Precision) -> None:
    """Raise UserError if ONNX Runtime is missing, or cannot compute in this precision."""
    import_onnxruntime()
    if precision != "float32":
        raise UserError(
            f"ONNX Runtime does not compute in {precision} on a CPU; "
            "use --precision float32, or give the original weights with --runtime torch or openvino"
        )


def open_session(path: Path, threads: int) -> Any:
    """Return ONNX Runtime's session of the graph in a file, run with this number of threads.

    Raises:
        UserError: ONNX Runtime is missing, or the file is not a graph.
    """
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = ONLY_ERRORS
    # As with torch (see `cli.app.main`): threads that spin while they wait collapse on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base class
        raise not_a_graph(path, error) from error


def not_a_graph(path: Path, error: Exception) -> UserError:
    """Return the error of a file that cannot be read as a graph."""
    return UserError(f"{path} is not a graph that ONNX Runtime reads ({error}); export it again")


def import_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry off, unless the environment turns it on."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with needs_extra("onnx"):
        import onnxruntime
    return onnxruntime
