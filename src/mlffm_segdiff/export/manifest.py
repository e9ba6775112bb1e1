"""The content of exported folders, which export.json describes; reading it needs no torch."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, StringConstraints, ValidationError

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.config.schema import Precision, SamplingConfig

FormatName = Literal["onnx", "openvino", "torch"]
MANIFEST = "export.json"
FIX = "export again"
WHOLE = "segmenter.onnx"
"""The graph from images to masks."""
IMAGE, PROBABILITY, MASK, FEATURES = "image", "probability", "mask", "features"
"""Its input and its outputs; only networks that encode the image separately have features."""

PartName = Annotated[str, StringConstraints(pattern=r"^\w+$")]


class Signature(BaseModel):
    """The inputs and outputs of a graph by name, in their order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Whole(BaseModel):
    """The graph from images to masks.

    Attributes:
        sampling: Sampling settings, fixed in the graph.
        sha256: SHA-256 of its file.
    """

    sampling: SamplingConfig
    sha256: str


class Manifest(BaseModel):
    """The content of an exported folder.

    Attributes:
        format: Format of the graphs.
        size: Height and width of the images in pixels.
        precision: Number format of the weights in the graphs.
        opset: Opset of ONNX; None if the graphs were not written through ONNX.
        graphs: The parts of the network, with their inputs and outputs by name.
        whole: The graph from images to masks; None if the folder has none.
        versions: Versions of the packages that wrote it.
    """

    format: FormatName
    size: int
    precision: Precision
    opset: int | None
    graphs: dict[PartName, Signature]
    whole: Whole | None = None
    versions: dict[str, str]


def is_export(folder: Path) -> bool:
    """Return whether this is an exported folder."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Return the content of an exported folder. Raises UserError if it cannot be read."""
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {key}{': ' if key else ''}{first['msg']}; {FIX}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({reason_of(error)}); {FIX}") from None
