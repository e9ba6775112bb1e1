"""The public way to segment images in Python: `Segmenter` and `segment`."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.inference.analysis import Processing, analyse, require_supported
from mlffm_segdiff.inference.model import Model, load_model
from mlffm_segdiff.inference.postprocessing import DEFAULT as DEFAULT_STEPS
from mlffm_segdiff.inference.postprocessing import PostProcessing
from mlffm_segdiff.inference.predict import check_batch_size
from mlffm_segdiff.inference.prompt import Box, Point, Prompt, PromptedImage
from mlffm_segdiff.inference.reading.case_image import (
    CaseImage,
    array_image,
    pil_image,
    read_image,
    require_contrast,
)
from mlffm_segdiff.inference.reading.remote import RemoteFile, is_url
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.segmenters.device import AUTO, find_device, is_on
from mlffm_segdiff.segmenters.pretrained import Pretrained
from mlffm_segdiff.segmenters.sampling import Overrides
from mlffm_segdiff.segmenters.saved_weights import DEFAULT

ImageLike = npt.NDArray[np.uint8] | Image.Image | str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Prompted:
    """An image with marks of a user, see `Prompt`.

    Attributes:
        image: An image file, a Pillow image, or an HxWx3 uint8 RGB array.
        box: Left, top, right and bottom edge of the lesion's bounding box, in pixels.
        points: x, y and label of each point: 1 on the lesion, 0 on what is not lesion.
    """

    image: ImageLike
    box: Box | None = None
    points: Sequence[Point] = ()


class Segmenter(Pretrained):
    """A trained model that segments images of any size.

    ``Segmenter.from_pretrained("default")`` loads the weights of the package; it also takes a run folder, a
    weights folder or a hub id. As a `torch.nn.Module` it has ``to``, ``eval`` and ``state_dict``; called on a
    batch (B3HW in [-1, 1]) it returns a `Segmentation` at the network's size.

    Args:
        recipe: The recipe, as in ``config.json``.
        packages: Installed packages whose entry points the recipe needs.

    Raises:
        UserError: The recipe is not valid, or one of the packages is not installed.
    """

    def __init__(self, recipe: dict[str, Any], packages: Sequence[str] = ()) -> None:
        super().__init__(recipe, packages)
        self._prepared: tuple[object, Model] | None = None

    def segment(
        self, image: ImageLike, box: Box | None = None, points: Sequence[Point] = (), **options: Any
    ) -> CaseResult:
        """Segment one image, also with a box or points that say where the lesion is.

        Args:
            image: An image file, its URL, a Pillow image, or an HxWx3 uint8 RGB array.
            box: As in `Prompted`.
            points: As in `Prompted`.
            options: As for `segment`.

        Returns:
            Mask, probability, spread, measures, certainty and flags at the image's own size.

        Raises:
            UserError: As `segment`.
        """
        if isinstance(image, list | tuple):
            raise UserError(
                f"image is a {type(image).__name__}, but this is for one image; "
                "use mlffm_segdiff.segment(images, segmenter)"
            )
        (found,) = segment([Prompted(image, box, points)], self, **options)
        return found

    def prepared(self, sampling: Overrides | None = None) -> Model:
        """Return the model prepared for inference, again only after its weights or calibration changed.

        Changes of a parameter's ``data`` are not seen, as torch does not count them.
        """
        device = next(self.parameters()).device
        if sampling:
            return load_model(self, device=device, sampling=sampling)
        state = self._state()
        if self._prepared is None or self._prepared[0] != state:
            self._prepared = state, load_model(self, device=device)
        return self._prepared[1]

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of copies and pickles, without the prepared model."""
        return {**super().__getstate__(), "_prepared": None}  # type: ignore[no-untyped-call]

    def _state(self) -> tuple[object, ...]:
        """Return a value that changes with the weights and with their companion files."""
        return (*self._versions(), *map(id, self.companions))


def segment(
    images: Iterable[ImageLike | Prompted],
    weights: str | Path | Pretrained = DEFAULT,
    *,
    sampling: Overrides | None = None,
    threshold: float = THRESHOLD,
    mm_per_pixel: float | None = None,
    post: PostProcessing = DEFAULT_STEPS,
    level: float | None = None,
    refuse_outliers: bool = False,
    batch_size: int = 8,
    device: str | torch.device = AUTO,
) -> list[CaseResult]:
    """Segment images and return their results in the same order, each at its image's own size.

    By default the probability is the posterior mean, computed in one step. Samples are drawn only on request:
    ``sampling={"samples": 8}``.

    Args:
        images: Image files, also by URL (extra ``remote``), Pillow images, or HxWx3 uint8 RGB arrays, in any
            mixture; also a generator. EXIF orientation, transparency and ICC profile of a Pillow image are
            applied as those of a file. A `Prompted` image is segmented with its box and points.
        weights: ``default``, a run folder, a weights folder, a hub id, or a `Segmenter` (loaded once, used
            often).
        sampling: Overrides of the weights' own sampling, by the keys of `SamplingConfig`, such as
            ``{"steps": 8, "samples": 16, "style": "ph2"}``.
        threshold: Probability from which a pixel is lesion, above 0 and at most 1.
        mm_per_pixel: Side of a pixel in millimetres, instead of the value in DICOM files.
        post: Post-processing of the masks, such as ``PostProcessing(largest=True)``.
        level: Level of ``intervals`` and ``band`` of the results, as a share (0.9) or in percent (90); None
            is 0.9, or the highest that is calibrated.
        refuse_outliers: Raise OutlierError for an image that is flagged as ``not_dermoscopy``.
        batch_size: Images segmented at once; changes the speed, and results only in the last digits.
        device: Where the network runs: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``xpu``. A
            `Segmenter` runs where it is.

    Raises:
        OutlierError: An image is refused; a UserError.
        UserError: An image, the device, the weights or an option cannot be used.
    """
    _require_several(images)
    check_batch_size(batch_size)
    how = Processing(threshold, post, mm_per_pixel, level=level, refuse_outliers=refuse_outliers)
    model = prepared_model(weights, sampling, device)
    require_supported(model, how)
    results: list[CaseResult] = []
    numbered = enumerate(images)
    while chunk := list(islice(numbered, batch_size)):
        cases = [_prompted_case(image, position, model.size) for position, image in chunk]
        inputs = [one for case in cases for one in case.inputs]
        views = [one.view for one in inputs]
        found = iter(model.segment([one.network_input for one in inputs], views.__getitem__))
        for case in cases:
            output = case.output(list(islice(found, len(case.inputs))), threshold)
            results.append(analyse(case.image, output, model, how, case.prompt.given))
    return results


def prepared_model(
    weights: str | Path | Pretrained, sampling: Overrides | None, device: str | torch.device
) -> Model:
    """Prepare weights for inference; a `Segmenter` where it is. See `segment` for arguments and errors."""
    if not isinstance(weights, Segmenter):
        return load_model(weights, device=device, sampling=sampling)
    model = weights.prepared(sampling)
    if device != AUTO and not is_on(model.device, find_device(device)):
        raise UserError(
            f"the Segmenter is on {model.device}, not {device}; move it: segmenter.to({str(device)!r})"
        )
    return model


def _require_several(images: object) -> None:
    """Raise UserError for one image in place of a list."""
    if isinstance(images, str | Path):
        raise UserError(f"images is the one path {str(images)!r}; give a list of images: [{str(images)!r}]")
    one_array = isinstance(images, np.ndarray | Tensor) and images.ndim == 3
    if isinstance(images, Image.Image | bytes | Prompted) or one_array or not isinstance(images, Iterable):
        raise UserError(f"images is one {type(images).__name__}; give a list of images")


def _prompted_case(image: ImageLike | Prompted, position: int, size: int) -> PromptedImage:
    if isinstance(image, Prompted):
        prompt = Prompt(image.box, _points(image.points, position))
        return PromptedImage(_case_image(image.image, position, size), prompt)
    return PromptedImage(_case_image(image, position, size), Prompt())


def _points(points: Sequence[Point], position: int) -> tuple[Point, ...]:
    try:
        return tuple(points)
    except TypeError:
        raise UserError(f"images[{position}]: points {points!r} is not a list of (x, y, label)") from None


def _case_image(image: ImageLike, position: int, size: int) -> CaseImage:
    if isinstance(image, str) and is_url(image):
        return read_image(RemoteFile(image), size)
    if isinstance(image, str | os.PathLike):
        return read_image(expanded(image), size)
    name = f"images[{position}]"
    if isinstance(image, Image.Image):
        return require_contrast(pil_image(image, size, name), name)
    try:
        found = np.asarray(image)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor with gradients, or on another device
        raise UserError(f"{name} cannot be an array ({reason_of(error)}); give a NumPy array") from error
    if found.ndim == 0:
        raise UserError(
            f"{name} is of type {type(image).__name__}; give a path, a Pillow image, or an array of RGB"
        )
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3 or found.size == 0:
        raise UserError(
            f"{name} is an array {found.shape} of {found.dtype}; give RGB of shape (height, width, 3), uint8 "
            "(fractions: (255 * x).round().astype(np.uint8); grey: np.stack([x] * 3, -1)), or a Pillow image"
        )
    return require_contrast(array_image(found, size), name)
