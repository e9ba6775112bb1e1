"""A model that ONNX Runtime runs as one graph; torch is imported only to make the graph."""

import json
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import DISTRIBUTION
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.progress import ShowStatus
from mlffm_segdiff.config.schema import Precision, RuntimeChoice, SamplingConfig
from mlffm_segdiff.data.cache import cache_root
from mlffm_segdiff.data.image_rows import Pixels
from mlffm_segdiff.export.manifest import (
    FEATURES,
    FIX,
    IMAGE,
    PROBABILITY,
    WHOLE,
    FormatName,
    is_export,
    read_manifest,
)
from mlffm_segdiff.export.onnx_session import import_onnxruntime, open_session
from mlffm_segdiff.segmenters.agreement import AgreementPredictor
from mlffm_segdiff.segmenters.calibration import Quality
from mlffm_segdiff.segmenters.companions import read_companions
from mlffm_segdiff.segmenters.network_output import NetworkOutput
from mlffm_segdiff.segmenters.outliers import OutlierDetector
from mlffm_segdiff.segmenters.saved_weights import WEIGHTS, files_digest, local_folder, weights_digest

CACHE_FORMAT = 4
"""Version of the written graphs, raised if they change without a new version of the package."""


@dataclass(frozen=True)
class GraphModel:
    """A model for the posterior mean, run by ONNX Runtime as one graph (`export.whole`).

    Attributes:
        session: ONNX Runtime's.
        size: Side of its input in pixels.
        sampling: Sampling settings.
        identity: SHA-256 of the graph.
        threads: CPU threads that it computes with.
        quality: Calibration of the weights; None without one.
        outliers: Detector of images unlike the training images; None without one.
        agreement: Predictor of how well people agree on an outline; None without one.
        device: Name of the runtime that the network runs in.
        precision: Number format that it computes in.
    """

    session: Any
    size: int
    sampling: SamplingConfig
    identity: str
    threads: int
    quality: Quality | None = None
    outliers: OutlierDetector | None = None
    agreement: AgreementPredictor | None = None
    device: str = "ONNX Runtime"
    precision: Precision = "float32"

    def segment(self, network_inputs: Sequence[Pixels], view: object = None) -> list[NetworkOutput]:  # noqa: ARG002
        """Segment a batch of images (SxSx3 uint8 RGB); there is no second look at a ``view``."""
        if not network_inputs:
            return []
        names = [PROBABILITY, FEATURES] if self._has_features else [PROBABILITY]
        found, *features = self.session.run(names, {IMAGE: np.stack(list(network_inputs))})
        return [
            NetworkOutput(probability, np.zeros_like(probability), None, *(rows[number] for rows in features))
            for number, probability in enumerate(found[:, 0])
        ]

    @property
    def _has_features(self) -> bool:
        return FEATURES in {output.name for output in self.session.get_outputs()}


def load_graph_model(
    weights: str, runtime: RuntimeChoice | None, threads: int, show: ShowStatus = nullcontext
) -> GraphModel | None:
    """Return a model that runs as one graph, with the sampling of the weights; None if there is none.

    There is one in folders exported as ONNX and, with ``runtime="onnx"``, for weights in a local folder, for
    which it is exported once into the user's cache, and again if the one in the cache cannot be read.

    Args:
        weights: Weights, named as for `graph_cache.load_graphs`.
        runtime: Runtime of the graph, as for `graph_cache.load_graphs`.
        threads: CPU threads to compute with.
        show: Shows the label of a slow step.

    Raises:
        UserError: ONNX Runtime is not installed, or the weights or their graph are damaged.
    """
    if runtime not in (None, "onnx"):
        return None
    folder = expanded(weights)
    if is_export(folder):
        return _calibrated(_read(folder, threads), folder)
    source = local_folder(weights) if runtime == "onnx" else None
    if source is None:
        return None
    import_onnxruntime()
    cached = cached_folder(files_digest(source), "onnx")
    if is_export(cached):
        try:
            found = _read(cached, threads)
        except UserError:
            shutil.rmtree(cached, ignore_errors=True)  # another process may be doing so
        else:
            return _calibrated(found, source, source / WEIGHTS)
    from mlffm_segdiff.export.graph_cache import cached_export
    from mlffm_segdiff.segmenters.pretrained import load_pretrained

    with show("exporting the graphs for onnx, once"):
        made = cached_export(load_pretrained(weights), "onnx")
    return _calibrated(_read(made, threads), source, source / WEIGHTS)


def cached_folder(source: str, format_name: FormatName, root: Path | None = None) -> Path:
    """Return the folder of the cache for the graphs of weights; it may not exist.

    Its name depends on the weights, the format, and the versions of torch and this package.

    Args:
        source: Digest of the weights and their recipe.
        format_name: Format of the graphs.
        root: Folder of the cache; by default `cache_root()`.
    """
    made_by = [CACHE_FORMAT, format_name, version("torch"), version(DISTRIBUTION), source]
    key = sha256(json.dumps(made_by).encode()).hexdigest()[:32]
    return (root or cache_root()) / f"{key}-{format_name}"


def _read(folder: Path, threads: int) -> GraphModel | None:
    """Return the model of an exported folder; None without a graph, or if the graph draws samples."""
    manifest, path = read_manifest(folder), folder / WHOLE
    whole = manifest.whole
    if whole is None or whole.sampling.samples:
        return None
    if not path.is_file() or weights_digest(path) != whole.sha256:
        raise UserError(f"{path} is missing, or not the file that was exported (its SHA-256 differs); {FIX}")
    return GraphModel(open_session(path, threads), manifest.size, whole.sampling, whole.sha256, threads)


def _calibrated(model: GraphModel | None, folder: Path, weights: Path | None = None) -> GraphModel | None:
    """Return the model with what the folder has for it, bound to the weights if they are given."""
    if model is None:
        return None
    digest = weights_digest(weights) if weights else None
    return replace(model, **read_companions(folder, digest)._asdict())
