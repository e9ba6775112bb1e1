"""Graphs for a runtime: of an exported folder, or of any weights, exported once into the user's cache."""

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.cache import CACHE_FIX, cache_root
from mlffm_segdiff.export.folder import (
    is_export,
    keep_quality,
    read_export,
    read_manifest,
    runtime_of,
    write_export,
)
from mlffm_segdiff.export.formats import FormatName, RuntimeName
from mlffm_segdiff.segmenters.precision import Precision
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained

CACHE_FORMAT = 2
"""Version of the written graphs, raised if they change without a new version of the package."""

RuntimeChoice = Literal["torch", "onnx", "openvino"]
ShowStatus = Callable[[str], AbstractContextManager[object]]


def load_graphs(
    weights: str,
    runtime: RuntimeChoice | None = None,
    precision: Precision = "float32",
    show: ShowStatus = nullcontext,
) -> Pretrained | None:
    """Return weights that run on a runtime's graphs; None if torch runs the network itself.

    An exported folder is read as it is. The graphs of other weights are exported once into the user's cache,
    and again if those in the cache cannot be read.

    Args:
        weights: An exported folder, or as for `Pretrained.from_pretrained`.
        runtime: What runs the network; by default the one of exported graphs, otherwise torch.
        precision: Number format that the network computes in.
        show: Shows the label of a slow step.

    Raises:
        UserError: The runtime is not installed, cannot compute in this precision, or does not fit the folder.
    """
    folder = Path(weights).expanduser()
    if is_export(folder):
        found = read_manifest(folder).format
        if runtime not in (None, found):
            raise UserError(f"{folder} has graphs for {found}, not {runtime}; leave out --runtime")
        return read_export(folder, precision)
    if runtime is None or runtime == "torch":
        return None
    runtime_of(runtime).check_precision(precision)
    return _read_cached(load_pretrained(weights), runtime, precision, show)


def cached_export(pretrained: Pretrained, format_name: FormatName, root: Path | None = None) -> Path:
    """Return the folder of exported graphs in the cache, exporting them first if they are missing.

    Its name depends on the weights, the recipe, the format, and the versions of torch and this package.

    Args:
        pretrained: The weights.
        format_name: Format of the graphs.
        root: Folder of the cache; by default `cache_root()`.

    Raises:
        UserError: As `write_export`.
    """
    folder = (root or cache_root()) / f"{_key(pretrained, format_name)}-{format_name}"
    if not folder.is_dir():
        write_export(pretrained, format_name, folder, CACHE_FIX)
    else:
        keep_quality(pretrained, folder)
    return folder


def _read_cached(
    pretrained: Pretrained, runtime: RuntimeName, precision: Precision, show: ShowStatus
) -> Pretrained:
    def exported() -> Path:
        with show(f"exporting the graphs for {runtime}, once"):
            return cached_export(pretrained, runtime)

    try:
        return read_export(exported(), precision)
    except UserError:
        shutil.rmtree(exported())
    return read_export(exported(), precision)


def _key(pretrained: Pretrained, format_name: FormatName) -> str:
    recipe = pretrained.recipe.model_dump(mode="json")
    made_by = [CACHE_FORMAT, format_name, version("torch"), version("mlffm-segdiff"), recipe]
    digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode())
    for name, value in sorted(pretrained.segmenter.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
