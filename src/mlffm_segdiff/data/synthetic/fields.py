"""Pixel grids, smooth random fields and strokes, from which synthetic images are composed.

Lengths are in units of the short side, so a seed gives the same scene at every resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Field = NDArray[np.float64]
Random = np.random.Generator
Stroke = tuple[NDArray[np.float64], float]

# Root mean square of a unit cubic B-spline, squared for two axes: the integral of B3^2 is 151/315.
_SPLINE_SCALE = 151 / 315
_STROKE_SCALE = 4


@dataclass(frozen=True)
class Frame:
    """A pixel grid; coordinates are relative to its centre, in units of its short side."""

    width: int
    height: int

    @property
    def pixel(self) -> float:
        """Side of a pixel."""
        return 1 / min(self.width, self.height)

    @cached_property
    def x(self) -> Field:
        """Coordinates of columns, 1xW."""
        return _pixel_centres(self.width, self.pixel)[None, :]

    @cached_property
    def y(self) -> Field:
        """Coordinates of rows, Hx1."""
        return _pixel_centres(self.height, self.pixel)[:, None]

    @cached_property
    def half(self) -> Field:
        """Half the width and half the height, an array of 2."""
        return np.array([self.width, self.height]) * self.pixel / 2


def noise(frame: Frame, frequency: float, rng: Random) -> Field:
    """Draw a smooth random field of about zero mean and unit variance.

    Normal numbers on a grid are interpolated by cubic B-splines; the grid repeats after at most 64 cells.
    Where cells come near the size of a pixel, the field fades to zero, to avoid aliasing.

    Args:
        frame: Pixel grid of the field.
        frequency: Cells per short side of the image.
        rng: Random generator; its state advances.

    Returns:
        Field, HxW.
    """
    cells = min(int(np.ceil(2 * frequency)) + 4, 64)
    grid = rng.standard_normal((cells, cells))
    rows = _spline_weights(frame.height, frame.pixel * frequency, cells)
    columns = _spline_weights(frame.width, frame.pixel * frequency, cells)
    field: Field = rows @ grid @ columns.T
    return field * (resolved(frame, frequency) / _SPLINE_SCALE)


def fractal(frame: Frame, frequency: float, octaves: int, rng: Random, gain: float = 0.5) -> Field:
    """Sum `octaves` noises HxW, each of twice the frequency and `gain` times the amplitude; unit variance."""
    sizes = gain ** np.arange(octaves)
    total = sum(size * noise(frame, frequency * 2**k, rng) for k, size in enumerate(sizes))
    return np.asarray(total / np.sqrt(np.sum(sizes**2)))


def honeycomb(frame: Frame, frequency: float, rng: Random) -> Field:
    """Return a warped honeycomb HxW of `frequency` cells per short side: 1 in cells, 0 between."""
    turn = rng.uniform(0, np.pi)
    x = frame.x + 0.45 / frequency * fractal(frame, frequency / 6, 3, rng, 1.0)
    y = frame.y + 0.45 / frequency * fractal(frame, frequency / 6, 3, rng, 1.0)
    angles = turn + np.arange(3) * np.pi / 3
    waves = sum(np.cos(2 * np.pi * frequency * (x * np.cos(a) + y * np.sin(a))) for a in angles)
    return np.asarray((waves + 1.5) / 4.5)


def resolved(frame: Frame, frequency: float) -> float:
    """Return how well pixels resolve a frequency: 0 below 1 pixel per cell, 1 above 2.5."""
    return float(np.clip((1 / (frequency * frame.pixel) - 1) / 1.5, 0, 1))


def smoothstep(low: float, high: float, value: Field) -> Field:
    """Interpolate by a smooth cubic from 0 below `low` to 1 above `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def coverage(frame: Frame, strokes: Sequence[Stroke]) -> Field:
    """Return the share of each pixel, HxW in [0, 1], that strokes cover.

    Args:
        frame: Pixel grid.
        strokes: Points Nx2 (x, y) and width of each stroke, in short sides.
    """
    scale = _STROKE_SCALE / frame.pixel
    canvas = Image.new("L", (frame.width * _STROKE_SCALE, frame.height * _STROKE_SCALE))
    pen = ImageDraw.Draw(canvas)
    for points, width in strokes:
        corners, thickness = (points + frame.half) * scale, max(1, round(width * scale))
        pen.line([(float(x), float(y)) for x, y in corners], fill=255, width=thickness, joint="curve")
    return np.asarray(canvas.reduce(_STROKE_SCALE), dtype=np.float64) / 255


def _pixel_centres(count: int, pixel: float) -> Field:
    return np.asarray((np.arange(count) + 0.5 - count / 2) * pixel, dtype=np.float64)


@lru_cache(maxsize=64)
def _spline_weights(pixels: int, step: float, count: int) -> Field:
    """Return cubic B-spline weights, pixels x count, of a ring of `count` knots, `step` knots per pixel."""
    position = _pixel_centres(pixels, step)
    knot = np.floor(position)
    t = position - knot
    rest = 1 - t
    parts = np.array([rest**3, 4 - 3 * t * t * (1 + rest), 4 - 3 * rest * rest * (1 + t), t**3])
    columns = (knot.astype(np.int64) + np.arange(-1, 3)[:, None]) % count
    weights = np.zeros((pixels, count))
    weights[np.arange(pixels), columns] = parts / 6
    return weights
