"""Segmentation as one function on arrays or files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.model import Picture, answer_pictures, load_model, shrink
from mlffm_segdiff.inference.postprocessing import PostProcessing
from mlffm_segdiff.inference.prediction import Prediction, check_threshold, predict_source
from mlffm_segdiff.inference.reading import check_batch_size, read_picture
from mlffm_segdiff.segmenters.at_source import THRESHOLD
from mlffm_segdiff.segmenters.pretrained import Pretrained

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
    *,
    fusion: str | None = None,
    style: str | None = None,
    mirror: bool | None = None,
    second_look: bool | None = None,
    keep_specks: bool = False,
    largest: bool = False,
    fill_holes: bool = False,
) -> list[Prediction]:
    """Segment images and return their predictions in the same order, each at its image's own size.

    By default the probability is the posterior mean, computed in one step. Samples are drawn only when asked
    for. What is None is as in the weights' recipe.

    Args:
        images: Arrays HxWx3 uint8 RGB, or image files, mixed as you like.
        weights: ``default``, a run folder, a folder with config.json and model.safetensors, a hub id, or what
            `load_pretrained` gave (loaded once, used often).
        steps: Denoising steps of each sample; needs samples.
        samples: Number of masks to draw, 0 for the posterior mean; 2 or more give a spread.
        sampler: How samples are drawn: ``ddim``, ``ddpm`` or ``dpm``; needs samples.
        seed: Seed of the starting noise, which depends on it and the sample's number only.
        threshold: Probability from which a pixel is lesion, above 0 and at most 1.
        batch_size: Images segmented at once; changes speed only.
        fusion: How samples become one probability map: ``mean`` or ``staple``.
        style: Annotation style, one of the model's (``isic2018``, ``ham10000``, ``ph2``) or ``any``.
        mirror: Average over the image and its three mirror images; takes four times as long.
        second_look: Segment the found lesion again, enlarged, and merge both results; takes up to twice as
            long. Not with samples.
        keep_specks: Keep components smaller than 0.1 % of the lesion's area.
        largest: Keep only the largest component.
        fill_holes: Fill holes in the mask.

    Raises:
        UserError: An image, file, weights or option cannot be used.
    """
    if isinstance(images, str | Path):
        raise UserError(f"images is the one path {str(images)!r}; give a list of images: [{str(images)!r}]")
    check_threshold(threshold)
    check_batch_size(batch_size)
    model = load_model(
        weights,
        steps=steps,
        samples=samples,
        sampler=sampler,
        seed=seed,
        fusion=fusion,
        style=style,
        mirror=mirror,
        second_look=second_look,
    )
    post = PostProcessing(keep_specks, largest, fill_holes)
    predictions = []
    for start in range(0, len(images), batch_size):
        chunk = images[start : start + batch_size]
        pictures = [_picture(image, start + k, model.size) for k, image in enumerate(chunk)]
        answers = answer_pictures(model, pictures)
        predictions += [predict_source(answer, threshold, post) for answer in answers]
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
    return shrink(found, size)
