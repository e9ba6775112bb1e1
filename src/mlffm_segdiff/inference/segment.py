"""Segmentation as one function on arrays or files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.build.pretrained import Pretrained
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.model import Picture, answer_pictures, load_model, shrink
from mlffm_segdiff.inference.prediction import Prediction, check_threshold, predict_source
from mlffm_segdiff.inference.reading import check_batch_size, read_picture
from mlffm_segdiff.segmenters.at_source import THRESHOLD

ImageLike = npt.NDArray[np.uint8] | str | Path


def segment(
    images: Sequence[ImageLike],
    weights: str | Path | Pretrained = "default",
    steps: int | None = None,
    samples: int | None = None,
    sampler: str | None = None,
    seed: int | None = None,
    threshold: float = THRESHOLD,
    batch_size: int = 8,
) -> list[Prediction]:
    """Segment images and return their predictions in the same order, each at its image's own size.

    images: arrays HxWx3 uint8 RGB, or image files, mixed as you like.
    weights: ``default``, a run folder, a folder with config.json and model.safetensors, a hub id, or what
    `load_pretrained` gave (loaded once, used often).
    steps, samples, sampler (ddim, ddpm, dpm), seed: how masks are drawn, by default as the weights' recipe
    says; several samples give a spread.
    threshold: the probability, above 0 and at most 1, from which a pixel is lesion.

    The noise of a file is drawn by the seed and its name without ending, as ``mlffm-segdiff predict`` does,
    that of an array by the seed alone: no result depends on its neighbours or their order.
    Raises UserError for an image, file, weights or number that cannot be used.
    """
    if isinstance(images, str | Path):
        raise UserError(f"images is the one path {str(images)!r}; give a list of images: [{str(images)!r}]")
    check_threshold(threshold)
    check_batch_size(batch_size)
    model = load_model(weights, steps, samples, sampler, seed)
    predictions = []
    for start in range(0, len(images), batch_size):
        chunk = images[start : start + batch_size]
        pictures = [_picture(image, start + k, model.size) for k, image in enumerate(chunk)]
        predictions += [predict_source(answer, threshold) for answer in answer_pictures(model, pictures)]
    return predictions


def _picture(image: ImageLike, position: int, size: int) -> Picture:
    if isinstance(image, str | Path):
        return read_picture(Path(image), size).picture
    found = np.asarray(image)
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3 or found.size == 0:
        raise UserError(
            f"images[{position}] is an array {found.shape} of {found.dtype}; "
            "give RGB of shape (height, width, 3), uint8"
        )
    return shrink(found, "", size)
