"""Exported folders: graphs, their recipe as config.json, and export.json (`export.manifest`)."""

import copy
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.export.formats import FORMATS, Runtime
from mlffm_segdiff.export.manifest import FIX, MANIFEST, WHOLE, FormatName, Manifest, Signature, read_manifest
from mlffm_segdiff.export.onnx import OPSET
from mlffm_segdiff.export.trace import EXAMPLE_BATCH
from mlffm_segdiff.export.whole import in_one_graph, write_whole
from mlffm_segdiff.files.atomic import atomic_folder
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.companions import read_companions
from mlffm_segdiff.segmenters.folding import fold_batch_norm
from mlffm_segdiff.segmenters.precision import Precision
from mlffm_segdiff.segmenters.pretrained import Pretrained
from mlffm_segdiff.segmenters.saved_weights import CONFIG, read_config, require_trust, weights_digest


def write_export(
    pretrained: Pretrained, format_name: FormatName, folder: Path, fix: str | None = None
) -> None:
    """Write the graphs of weights atomically; an existing folder is kept as it is.

    Args:
        pretrained: The weights.
        format_name: Format of the graphs.
        folder: Folder to create.
        fix: Hint if it cannot be written; see `atomic_folder`.

    Raises:
        UserError: The folder cannot be written, or a package is missing.
    """
    written, recipe = FORMATS[format_name], pretrained.recipe
    plain, size = _plain(pretrained.segmenter), recipe.data.size
    parts = plain.parts(torch.zeros(EXAMPLE_BATCH, 3, size, size))
    with atomic_folder(folder, fix) as building:
        for name, part in parts.items():
            written.write(part, building / f"{name}{written.suffix}")
        whole = None
        if format_name == "onnx" and in_one_graph(pretrained.sampling):
            whole = write_whole(plain, pretrained, building / WHOLE)
        manifest = Manifest(
            format=format_name,
            size=size,
            precision="float32",
            opset=OPSET if "onnx" in written.packages else None,
            graphs={
                name: Signature(inputs=p.input_names, outputs=p.output_names) for name, p in parts.items()
            },
            whole=whole,
            versions=_versions(written.packages),
        )
        _write_json(building / CONFIG, {"recipe": recipe.model_dump(mode="json")})
        _write_json(building / MANIFEST, manifest.model_dump(mode="json"))
        pretrained.companions.write(building)


def runtime_of(format_name: FormatName) -> Runtime:
    """Return the runtime of this format. Raises UserError if this package does not run such graphs."""
    runtime = FORMATS[format_name].runtime
    if runtime is None:
        raise UserError(
            "programs of torch.export are for other programs: reading them can run code that is in them; "
            "give the weights that they were made from, or graphs exported with --format onnx"
        )
    return runtime


def read_export(folder: Path, precision: Precision = "float32") -> Pretrained:
    """Load an exported folder; its graphs run on the CPU with torch's number of threads.

    The result can segment, but cannot be trained or saved.

    Raises:
        UserError: Files are missing or broken, or the runtime cannot compute in this precision.
    """
    manifest = read_manifest(folder)
    runtime = runtime_of(manifest.format)
    runtime.check_precision(precision)
    config = read_config(folder / CONFIG, FIX)
    require_trust(config["recipe"])
    pretrained = Pretrained(recipe=config["recipe"])
    suffix, threads = FORMATS[manifest.format].suffix, torch.get_num_threads()
    graphs = {name: runtime.read(folder / f"{name}{suffix}", precision, threads) for name in manifest.graphs}
    try:
        pretrained.segmenter.run_on(graphs)
    except KeyError as error:
        raise UserError(f"{folder} has no graph {error}; export again") from None
    pretrained.segmenter.eval()
    pretrained.companions = read_companions(folder)
    pretrained.digest = " ".join(weights_digest(path) for path in sorted(folder.iterdir()) if path.is_file())
    return pretrained


def _plain(segmenter: BaseSegmenter) -> BaseSegmenter:
    """Return a copy in evaluation mode on the CPU, its batch normalisation folded.

    torch.export writes no channels_last weights.
    """
    plain = fold_batch_norm(copy.deepcopy(segmenter).eval().cpu())
    return plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, no-any-return]


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {name: version(name) for name in ("mlffm-segdiff", "torch", *packages)}


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
