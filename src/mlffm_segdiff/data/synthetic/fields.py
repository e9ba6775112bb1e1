"""Frames, smooth random fields and drawn strokes: what the synthetic dermoscopy images are made of.

Lengths are in units of the frame's short side, so a seed gives the same scene at every resolution.
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
    """A pixel grid; coordinates have their origin at its centre and the short side as unit."""

    width: int
    height: int

    @property
    def pixel(self) -> float:
        """Side of one pixel."""
        return 1 / min(self.width, self.height)

    @cached_property
    def x(self) -> Field:
        """Columns' coordinates, 1xW."""
        return _pixel_centres(self.width, self.pixel)[None, :]

    @cached_property
    def y(self) -> Field:
        """Rows' coordinates, Hx1."""
        return _pixel_centres(self.height, self.pixel)[:, None]

    @cached_property
    def half(self) -> Field:
        """Half the width and half the height, 2."""
        return np.array([self.width, self.height]) * self.pixel / 2


def noise(frame: Frame, frequency: float, rng: Random) -> Field:
    """Random field HxW with about zero mean and unit variance, `frequency` cells a short side.

    Normal numbers on a grid, joined by cubic B-splines; the grid repeats after at most 64 cells.
    Cells smaller than a pixel would alias, so the field fades to zero as they near that size.
    """
    cells = min(int(np.ceil(2 * frequency)) + 4, 64)
    grid = rng.standard_normal((cells, cells))
    rows = _spline_weights(frame.height, frame.pixel * frequency, cells)
    columns = _spline_weights(frame.width, frame.pixel * frequency, cells)
    field: Field = rows @ grid @ columns.T
    return field * (resolved(frame, frequency) / _SPLINE_SCALE)


def fractal(frame: Frame, frequency: float, octaves: int, rng: Random, gain: float = 0.5) -> Field:
    """Sum of `octaves` noises HxW, each of twice the frequency and `gain` times the size; unit variance."""
    sizes = gain ** np.arange(octaves)
    total = sum(size * noise(frame, frequency * 2**k, rng) for k, size in enumerate(sizes))
    return np.asarray(total / np.sqrt(np.sum(sizes**2)))


def honeycomb(frame: Frame, frequency: float, rng: Random) -> Field:
    """Warped honeycomb HxW: 1 at the middle of a cell, 0 between cells, `frequency` cells a short side."""
    turn = rng.uniform(0, np.pi)
    x = frame.x + 0.45 / frequency * fractal(frame, frequency / 6, 3, rng, 1.0)
    y = frame.y + 0.45 / frequency * fractal(frame, frequency / 6, 3, rng, 1.0)
    angles = turn + np.arange(3) * np.pi / 3
    waves = sum(np.cos(2 * np.pi * frequency * (x * np.cos(a) + y * np.sin(a))) for a in angles)
    return np.asarray((waves + 1.5) / 4.5)


def resolved(frame: Frame, frequency: float) -> float:
    """How much of a pattern of this frequency the pixels show: 0 below 1 pixel a cell, 1 above 2.5."""
    return float(np.clip((1 / (frequency * frame.pixel) - 1) / 1.5, 0, 1))


def smoothstep(low: float, high: float, value: Field) -> Field:
    """0 below `low`, 1 above `high`, a cubic without corners between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def coverage(frame: Frame, strokes: Sequence[Stroke]) -> Field:
    """Share of each pixel, HxW in [0, 1], under the strokes.

    A stroke is its points Nx2 (x, y) and its width; both are in short sides.
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
    """Cubic B-spline weights, pixels x count, of a ring of `count` knots, `step` knots a pixel."""
    position = _pixel_centres(pixels, step)
    knot = np.floor(position)
    t = position - knot
    rest = 1 - t
    parts = np.array([rest**3, 4 - 3 * t * t * (1 + rest), 4 - 3 * rest * rest * (1 + t), t**3])
    columns = (knot.astype(np.int64) + np.arange(-1, 3)[:, None]) % count
    weights = np.zeros((pixels, count))
    weights[np.arange(pixels), columns] = parts / 6
    return weights
