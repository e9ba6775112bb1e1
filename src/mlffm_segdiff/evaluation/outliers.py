"""The outlier detector of a model, fitted to its own training and validation images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mlffm_segdiff.config.progress import Progress, ShowProgress, no_progress
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.cache import CachedPairs
from mlffm_segdiff.data.sources import open_split
from mlffm_segdiff.evaluation.pipeline import EvaluatedModel
from mlffm_segdiff.files.atomic import sweep_unfinished
from mlffm_segdiff.metrics.mahalanobis import Numbers
from mlffm_segdiff.segmenters.base import BaseSegmenter, segment_batch
from mlffm_segdiff.segmenters.outliers import OUTLIERS, fit_detector
from mlffm_segdiff.segmenters.saved_weights import WEIGHTS, weights_digest

MAX_IMAGES = 2400
"""Images of a data set in a part of the split that are used, evenly spaced."""
BATCH = 16


def calibrate_outliers(model: EvaluatedModel, folder: Path, show: ShowProgress = no_progress) -> Path | None:
    """Write outliers.safetensors next to the weights of a model, from its training and validation images.

    Args:
        model: Model whose weights are in the folder, with the cases of its split.
        folder: Weights folder, see `calibrating.calibration_folder`.
        show: Shows the progress of a labelled step.

    Returns:
        The path of outliers.safetensors; None if the network has no features for it, or there are too few
        training images, see `segmenters.outliers.fit_detector`.

    Raises:
        UserError: Images cannot be read, or the file cannot be written.
    """
    found: dict[str, dict[str, Numbers]] = {}
    for part in ("train", "val"):
        with show(f"describing images of {part}") as progress:
            pairs = open_split(model.parts, part, model.recipe.data.size)
            chosen = _by_source(pairs, model)
            features = image_features(
                model.segmenter, pairs.images, np.concatenate(list(chosen.values())), model.device, progress
            )
        if features is None:
            return None
        ends = np.cumsum([len(rows) for rows in chosen.values()])[:-1]
        found[part] = dict(zip(chosen, np.split(features, ends), strict=True))
    detector = fit_detector(found["train"], found["val"])
    if detector is None:
        return None
    sweep_unfinished(folder)
    return OUTLIERS.write(detector, folder, weights_digest(folder / WEIGHTS))


def image_features(
    segmenter: BaseSegmenter,
    images: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    device: torch.device,
    progress: Progress | None = None,
) -> Numbers | None:
    """Compute the features of images as wholes; see `segmenters.image_features`.

    Args:
        segmenter: Segmenter on the device, in evaluation mode.
        images: NxSxSx3 uint8 RGB, of the network's size.
        rows: Numbers of the images to describe, M.
        device: Device of the segmenter.
        progress: Receives the number of images done, and of all.

    Returns:
        MxD; None if the network has none.
    """
    found = []
    for start in range(0, len(rows), BATCH):
        batch = np.asarray(images[rows[start : start + BATCH]])
        features = segment_batch(segmenter, batch, SamplingConfig(), device).features
        if features is None:
            return None
        found.append(features.numpy().astype(np.float64))
        if progress is not None:
            progress(min(start + BATCH, len(rows)), len(rows))
    return np.concatenate(found)


def _by_source(pairs: CachedPairs, model: EvaluatedModel) -> dict[str, npt.NDArray[np.int64]]:
    """Return the rows of at most MAX_IMAGES images of each data set."""
    sources = np.array([model.parts.source[case] for case in pairs.ids])
    rows = {str(name): np.flatnonzero(sources == name) for name in np.unique(sources)}
    return {name: found[:: -(-len(found) // MAX_IMAGES)] for name, found in rows.items()}
