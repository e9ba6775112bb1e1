"""What graphs can be written as."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from mlffm_segdiff.export import onnx, openvino, torch_export
from mlffm_segdiff.segmenters.base import Graph, Part
from mlffm_segdiff.segmenters.precision import Precision

FormatName = Literal["onnx", "openvino", "torch"]
RuntimeName = Literal["onnx", "openvino"]


@dataclass(frozen=True)
class Runtime:
    """How graphs are run.

    check_precision: raises UserError where it cannot compute so, or is not installed. read: a graph's file,
    the precision and the number of threads to the graph.
    """

    check_precision: Callable[[Precision], None]
    read: Callable[[Path, Precision, int], Graph]


@dataclass(frozen=True)
class Format:
    """A format of graphs. suffix: how their files end. packages: what writes them, next to torch.

    runtime: None where we do not run them.
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
        # No runtime: torch loads these files by pickle, which can run any code that is in them.
        "torch": Format(".pt2", (), torch_export.write, None),
    }
)
