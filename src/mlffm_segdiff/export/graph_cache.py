"""Graphs for a runtime: of an exported folder, or of any weights, exported once into the user's cache."""

import hashlib
import shutil
from contextlib import nullcontext
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.progress import ShowStatus
from mlffm_segdiff.config.schema import RuntimeChoice
from mlffm_segdiff.data.cache import CACHE_FIX
from mlffm_segdiff.export.folder import read_export, runtime_of, write_export
from mlffm_segdiff.export.formats import RuntimeName
from mlffm_segdiff.export.graph_model import cached_folder
from mlffm_segdiff.export.manifest import FormatName, is_export, read_manifest
from mlffm_segdiff.segmenters.precision import Precision
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained


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
        runtime: Runtime of the network; by default that of exported graphs, otherwise torch.
        precision: Number format that the network computes in.
        show: Shows the label of a slow step.

    Raises:
        UserError: The runtime is not installed, cannot compute in this precision, or does not fit the folder.
    """
    folder = expanded(weights)
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

    Its name is that of `cached_folder`.

    Args:
        pretrained: The weights.
        format_name: Format of the graphs.
        root: Folder of the cache; by default `cache_root()`.

    Raises:
        UserError: As `write_export`.
    """
    folder = cached_folder(pretrained.digest or _content_digest(pretrained), format_name, root)
    if not folder.is_dir():
        write_export(pretrained, format_name, folder, CACHE_FIX)
    return folder


def _read_cached(
    pretrained: Pretrained, runtime: RuntimeName, precision: Precision, show: ShowStatus
) -> Pretrained:
    def exported() -> Path:
        with show(f"exporting the graphs for {runtime}, once"):
            return cached_export(pretrained, runtime)

    try:
        found = read_export(exported(), precision)
    except UserError:
        shutil.rmtree(exported(), ignore_errors=True)  # another process may be doing so
        found = read_export(exported(), precision)
    # the folder in the cache has those of the weights that it was made from, which may be an equal copy
    found.companions = pretrained.companions
    return found


def _content_digest(pretrained: Pretrained) -> str:
    """Return a digest of the recipe and the weights, for weights that are from no file."""
    digest = hashlib.sha256(pretrained.recipe.model_dump_json().encode())
    for name, value in sorted(pretrained.segmenter.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
