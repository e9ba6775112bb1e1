"""Shapes that annotation files draw masks from."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.data.files import decode_mask

Mask = npt.NDArray[np.bool_]
Point = tuple[float, float]

FARTHEST = 1e9


@dataclass(frozen=True)
class Polygon:
    """A polygon with its corners (x, y) in pixels, (0, 0) being the upper left corner of the image."""

    corners: tuple[Point, ...]

    def draw(self, mask: Mask) -> None:
        """Set the pixels whose centres are inside."""
        from skimage.draw import polygon  # here, for it takes long to import and few data sets need it

        x, y = np.array(self.corners, float).T - 0.5
        mask[polygon(y, x, mask.shape)] = True


def polygon_of(points: Iterable[Point]) -> Polygon:
    """Return a polygon with these corners. Raises ValueError if there are under 3 or one is not finite."""
    corners = tuple((float(x), float(y)) for x, y in points)
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError(f"a polygon has {len(corners)} corners, or one that is not a number")
    return Polygon(corners)


def rectangle_of(first: Point, second: Point, rotation: float = 0.0) -> Polygon:
    """Return the rectangle with two opposite corners, turned clockwise around its centre by degrees.

    Raises ValueError as `polygon_of`.
    """
    (x1, y1), (x2, y2) = first, second
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    offsets = [(a - x, b - y) for a, b in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))]
    return polygon_of((x + a * cos - b * sin, y + a * sin + b * cos) for a, b in offsets)


@dataclass(frozen=True)
class RelativePolygon:
    """A polygon with its corners (x, y) as fractions of the image's width and height."""

    corners: tuple[Point, ...]

    def draw(self, mask: Mask) -> None:
        """Set the pixels whose centres are inside."""
        height, width = mask.shape
        Polygon(tuple((x * width, y * height) for x, y in self.corners)).draw(mask)


@dataclass(frozen=True)
class Ellipse:
    """An ellipse: centre (x, y), radii along x and y in pixels, and its clockwise rotation in degrees."""

    centre: Point
    radii: Point
    rotation: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for a number that is not finite, or far outside any image."""
        if not all(abs(number) < FARTHEST for number in (*self.centre, *self.radii, self.rotation)):
            raise ValueError("an ellipse is not within reach of the image")

    def draw(self, mask: Mask) -> None:
        """Set the pixels whose centres are inside."""
        from skimage.draw import ellipse

        (x, y), (across, down) = self.centre, self.radii
        turn = -math.radians(math.remainder(self.rotation, 360))
        mask[ellipse(y - 0.5, x - 0.5, down, across, mask.shape, turn)] = True


@dataclass(frozen=True)
class Runs:
    """COCO's run lengths, of pixels outside and inside in turn, column by column."""

    lengths: tuple[int, ...]

    def draw(self, mask: Mask) -> None:
        """Set the pixels of the runs inside."""
        inside = np.repeat(np.arange(len(self.lengths)) % 2 == 1, self.lengths)
        mask |= inside.reshape(mask.shape[::-1]).T


@dataclass(frozen=True)
class BoxRuns:
    """CVAT's run lengths, of pixels outside and inside in turn, row by row in a box within the image."""

    lengths: tuple[int, ...]
    left: int
    top: int
    width: int
    height: int

    def draw(self, mask: Mask) -> None:
        """Set the pixels of the runs inside. Raises ValueError if the box is not within the image."""
        box = mask[self.top : self.top + self.height, self.left : self.left + self.width]
        if min(self.left, self.top) < 0 or box.shape != (self.height, self.width):
            raise ValueError("a mask is partly outside the image")
        inside = np.repeat(np.arange(len(self.lengths)) % 2 == 1, self.lengths)
        box |= inside.reshape(box.shape)


@dataclass(frozen=True)
class DrawnCrop:
    """A mask in a box: its PNG file, and the column and row of its upper left pixel."""

    png: bytes
    left: int
    top: int

    def draw(self, mask: Mask) -> None:
        """Set the pixels of the mask."""
        crop = decode_mask(self.png, "its PNG file")
        height, width = crop.shape
        mask[self.top : self.top + height, self.left : self.left + width] |= crop


Shape = Polygon | RelativePolygon | Ellipse | Runs | BoxRuns | DrawnCrop
