"""A box and points with which a user corrects the extent of a mask."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label
from scipy.special import expit, logit

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.masks import EIGHT
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.segmenters.network_output import Map, NetworkOutput
from mlffm_segdiff.segmenters.second_look import MAX_ENLARGED, Crop, crop_image, sample_map

Box = tuple[float, float, float, float]
Point = tuple[float, float, int]

MARGIN = 0.1
"""Added to the box on each side, as a share of its larger side, for the crop that the network sees."""
BOX_WEIGHT = 4.0
"""Added to the logit in the middle of the box, and subtracted at its corners.

Chosen on 194 validation images of ISIC 2018 with boxes of the ground truth, enlarged by 10 %.
"""
NETWORK_WEIGHT = 0.25
"""Weight in the logit of each of the two maps: of the whole image and of the crop."""
CLEAREST = 0.01
"""Probabilities of the network are clipped to [CLEAREST, 1 - CLEAREST], so that the box can change them."""
REACH = 0.05
"""Radius in which a point changes the probability, as a share of the larger side of the box or image."""
FEW_CELLS = 4
"""Cells of the map along a box's side below which cells around the box count as in it."""
MAX_POINTS = 64


@dataclass(frozen=True)
class Prompt:
    """Box and points that a user marked in an image, in pixels from its outer upper left corner.

    Attributes:
        box: Left, top, right and bottom edge of the lesion's bounding box; None for no box.
        points: x, y and label of each point: 1 on the lesion, 0 on what is not lesion.
    """

    box: Box | None = None
    points: Sequence[Point] = ()

    @property
    def given(self) -> bool:
        """Whether anything was marked."""
        return self.box is not None or len(self.points) > 0

    @property
    def input_count(self) -> int:
        """Number of images that the network must segment; see `PromptedImage.inputs`."""
        return 1 if self.box is None else 2

    def check(self, image: CaseImage) -> None:
        """Raise UserError unless the prompt is of numbers, and within an image."""
        name, size = image.name or "image", f"{image.width}x{image.height}"
        if self.box is not None:
            if not _are_numbers(self.box, 4):
                raise UserError(f"{name}: the box {self.box!r} is not four numbers; give x0, y0, x1, y1")
            left, top, right, bottom = self.box
            if right <= 1 and bottom <= 1:
                raise UserError(
                    f"{name}: the box {_text(self.box)} is within one pixel; give pixels, not shares"
                )
            if right - left < 1 or bottom - top < 1:
                raise UserError(
                    f"{name}: the box {_text(self.box)} is less than a pixel wide or high; give x0,y0,x1,y1 "
                    "with x1 >= x0 + 1 and y1 >= y0 + 1"
                )
            if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
                raise UserError(
                    f"{name}: the box {_text(self.box)} is not within the image of {size} pixels; give "
                    "x0,y0,x1,y1 with x0 < x1 and y0 < y1"
                )
        if len(self.points) > MAX_POINTS:
            raise UserError(f"{name}: {len(self.points)} points are too many; give at most {MAX_POINTS}")
        for point in self.points:
            if not _are_numbers(point, 3):
                raise UserError(f"{name}: the point {point!r} is not three numbers; give x, y, label")
            x, y, kind = point
            if not (0 <= x < image.width and 0 <= y < image.height and kind in (0, 1)):
                raise UserError(
                    f"{name}: the point {_text((x, y, kind))} is not within the image of {size} pixels, or "
                    "its label is not 0 or 1; give x,y,label"
                )

    def crop(self, image: CaseImage) -> Crop | None:
        """Return the part of an image around the box, with its aspect ratio; None without a box."""
        if self.box is None:
            return None
        left, right = (self.box[side] / image.width for side in (0, 2))
        top, bottom = (self.box[side] / image.height for side in (1, 3))
        side = min(max(right - left, bottom - top) * (1 + 2 * MARGIN), 1.0)
        centres = (top + bottom) / 2, (left + right) / 2
        corner = [min(max(centre - side / 2, 0.0), 1 - side) for centre in centres]
        return Crop(corner[0], corner[1], side)


@dataclass(frozen=True, eq=False)
class PromptedImage:
    """An image with a prompt. Raises UserError as `Prompt.check`."""

    image: CaseImage
    prompt: Prompt

    def __post_init__(self) -> None:
        """Check the prompt."""
        self.prompt.check(self.image)

    @property
    def inputs(self) -> list[CaseImage]:
        """Inputs of the network: the whole image, and the crop around the box if there is one."""
        crop, view = self.prompt.crop(self.image), self.image.view
        if crop is None:
            return [self.image]
        assert view is not None
        around = crop_image(view, crop, len(self.image.network_input))
        return [self.image, replace(self.image, network_input=around, view=None)]

    def output(self, found: Sequence[NetworkOutput], threshold: float) -> NetworkOutput:
        """Return the output for the image with its prompt, without samples; features are the image's.

        With a box, the logits of both maps and of the box are added: that of the box is BOX_WEIGHT in its
        middle, 0 on the ellipse inscribed in it, and falls to -BOX_WEIGHT outside of that. Outside the box
        the probability is 0. Points then change the probability near them, and select components of the mask;
        those on the lesion may be outside the box.

        Args:
            found: The network's output for `inputs`.
            threshold: Probability from which a pixel is lesion.
        """
        if not self.prompt.given:
            return found[0]
        probability = found[0].probability
        if self.prompt.box is not None:
            probability = self._within_box(probability, found[1].probability)
        if self.prompt.points:
            probability = self._with_points(probability, threshold)
        beyond = any(point[2] for point in self.prompt.points)
        return NetworkOutput(
            probability,
            np.zeros_like(probability),
            features=found[0].features,
            box=None if beyond else self.prompt.box,
        )

    def _within_box(self, whole: Map, around: Map) -> Map:
        crop, box = self.prompt.crop(self.image), self.prompt.box
        assert crop is not None
        assert box is not None
        size = len(whole) * min(math.ceil(1 / crop.side), MAX_ENLARGED)
        centres = (np.arange(size) + 0.5) / size
        maps = (
            sample_map(whole, centres, centres),
            sample_map(around, (centres - crop.top) / crop.side, (centres - crop.left) / crop.side),
        )
        network = sum(NETWORK_WEIGHT * logit(np.clip(one, CLEAREST, 1 - CLEAREST)) for one in maps)
        across = _from_middle(box[0], box[2], self.image.width, size)
        down = _from_middle(box[1], box[3], self.image.height, size)[:, None]
        inside = (across <= 1) & (down <= 1)
        shape = BOX_WEIGHT * np.maximum(1 - across**2 - down**2, -1)
        found: Map = np.where(inside, expit(network + shape), 0).astype(np.float32)
        return found

    def _with_points(self, probability: Map, threshold: float) -> Map:
        """Apply the points: first those on the lesion, then those that are not.

        A point on the wrong side of the threshold gets its label as probability, fading out within REACH; one
        that is not lesion leaves the points on the lesion as they are. With points on the lesion, only
        components that contain one are kept; without, components that contain a point that is not lesion are
        removed.
        """
        lesion = [point for point in self.prompt.points if point[2]]
        other = [point for point in self.prompt.points if not point[2]]
        for point in lesion:
            probability = self._shifted(probability, point, threshold)
        labels, _ = label(probability >= threshold, EIGHT)
        kept = {int(labels[self._cell(point, labels)]) for point in lesion}
        for point in other:
            component = labels[self._cell(point, labels)]
            if int(component) in kept:
                probability = self._shifted(probability, point, threshold)
            elif component:
                probability = np.where(labels == component, np.float32(0), probability)
        if lesion:
            labels, _ = label(probability >= threshold, EIGHT)
            kept = {int(labels[self._cell(point, labels)]) for point in lesion}
            dropped = (labels > 0) & ~np.isin(labels, list(kept))
            probability = np.where(dropped, np.float32(0), probability)
        return probability

    def _shifted(self, probability: Map, point: Point, threshold: float) -> Map:
        if (probability[self._cell(point, probability)] >= threshold) == bool(point[2]):
            return probability
        width, height = self.image.width, self.image.height
        centres = (np.arange(len(probability)) + 0.5) / len(probability)
        box = (0, 0, width, height) if self.prompt.box is None else self.prompt.box
        cell = max(width, height) / len(probability)
        radius = max(REACH * max(box[2] - box[0], box[3] - box[1]), 2 * cell)
        distance = np.hypot((centres * height - point[1])[:, None], centres * width - point[0])
        if not point[2]:
            lesion = (one for one in self.prompt.points if one[2])
            radius = min([radius, *(float(distance[self._cell(one, distance)]) for one in lesion)])
        if radius == 0:
            return probability
        weight = np.clip(2 - 2 * distance / radius, 0, 1)
        return ((1 - weight) * probability + weight * point[2]).astype(np.float32)

    def _cell(self, point: Point, values: npt.NDArray[np.generic]) -> tuple[int, int]:
        size = len(values)
        return int(point[1] / self.image.height * size), int(point[0] / self.image.width * size)


def _are_numbers(values: object, count: int) -> bool:
    """Return whether a value has this many numbers, which text has not."""
    found = list(values) if isinstance(values, Iterable) else []
    return len(found) == count and all(isinstance(one, Real) for one in found)


def _from_middle(start: float, end: float, length: int, size: int) -> npt.NDArray[np.float64]:
    """Return how far the centres of a map's cells are from the middle of a box: 0 there, 1 at its ends.

    In a box of fewer than FEW_CELLS, which may contain no centre, cells count as one cell nearer to the
    middle, so that the map is high around the box.

    Args:
        start: Start of the box in pixels of the image.
        end: End of the box.
        length: Side of the image in pixels.
        size: Number of cells S.
    """
    cell = length / size
    pixels = np.abs((np.arange(size) + 0.5) * cell - (start + end) / 2)
    if end - start < FEW_CELLS * cell:
        pixels = np.maximum(pixels - cell, 0)
    shares: npt.NDArray[np.float64] = 2 * pixels / (end - start)
    return shares


def _text(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)
