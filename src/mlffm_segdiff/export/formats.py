"""The formats that graphs can be written in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from mlffm_segdiff.export import onnx, openvino, torch_export
from mlffm_segdiff.export.manifest import FormatName
from mlffm_segdiff.segmenters.base import Graph, Part
from mlffm_segdiff.segmenters.precision import Precision

RuntimeName = Literal["onnx", "openvino"]


@dataclass(frozen=True)
class Runtime:
    """How graphs are run.

    Attributes:
        check_precision: Raises UserError if the runtime cannot compute in a precision, or is not installed.
        read: Loads a graph from its file, for a precision and a number of threads.
    """

    check_precision: Callable[[Precision], None]
    read: Callable[[Path, Precision, int], Graph]


@dataclass(frozen=True)
class Format:
    """A format of graphs.

    Attributes:
        suffix: Suffix of the files.
        packages: Packages that write them, in addition to torch.
        write: Writes a part of a network to a file.
        runtime: Runtime that runs them; None if this package does not.
    """

    suffix: str
    packages: tuple[str, ...]
    write: Callable[[Part, Path], None]
    runtime: Runtime | None


FORMATS: Mapping[FormatName, Format] = MappingProxyType(
    {
        "onnx": Format(".onnx", ("onnx", "onnxscript"), onnx.write, Runtime(onnx.check_precision, onnx.read)),
        "openvino": Format(
            ".xml",
            ("onnx", "onnxscript", "openvino"),
            openvino.write,
            Runtime(openvino.check_precision, openvino.read),
        ),
        # No runtime: torch loads these files by pickle, which can run any code in them.
        "torch": Format(".pt2", (), torch_export.write, None),
    }
)
