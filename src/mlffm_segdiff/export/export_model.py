"""The public way to export weights in Python: `export_model`."""

from pathlib import Path
from typing import Literal

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.export.folder import write_export
from mlffm_segdiff.export.formats import FORMATS
from mlffm_segdiff.export.manifest import FormatName
from mlffm_segdiff.export.monai_bundle import write_bundle
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.segmenters.sampling import Overrides, override_sampling


def export_model(
    weights: str | Path,
    output: str | Path,
    graph_format: FormatName | Literal["monai"] = "onnx",
    sampling: Overrides | None = None,
) -> Path:
    """Write weights as graphs, or as a MONAI bundle, into a new folder, as ``mlffm-segdiff export`` does.

    Args:
        weights: ``default``, a run folder, a weights folder or a hub id.
        output: Folder to create.
        graph_format: ``onnx``, ``openvino``, ``torch`` (torch.export) or ``monai``.
        sampling: Overrides of the weights' own sampling, by the keys of `SamplingConfig`.

    Returns:
        The folder. Its files appear all at once.

    Raises:
        UserError: The format is unknown, the folder exists or cannot be written, the weights or the sampling
            cannot be used, or a package of the format's extra is missing.
    """
    if graph_format not in (*FORMATS, "monai"):
        raise UserError(f"no format {graph_format!r}; choose one of {', '.join((*FORMATS, 'monai'))}")
    folder = expanded(output)
    if folder.exists():
        raise UserError(f"{folder} exists already; choose another folder, or delete it")
    pretrained = load_pretrained(weights)
    pretrained.recipe = override_sampling(pretrained.recipe, sampling)
    if graph_format == "monai":
        write_bundle(pretrained, folder)
    else:
        write_export(pretrained, graph_format, folder)
    return folder
