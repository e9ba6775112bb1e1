"""Artefacts of synthetic images: ink, hair, bubbles, stickers, rulers, black corners.

Each function takes an image HxWx3 in [0, 1] and returns a new one. Stickers and black corners do not cover
the lesion, so its mask stays correct.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mlffm_segdiff.data.synthetic.fields import (
    Field,
    Frame,
    Random,
    Stroke,
    coverage,
    fractal,
    noise,
    smoothstep,
)

Mask = NDArray[np.bool_]

HAIR_COLOURS = np.array([[0.10, 0.07, 0.06], [0.25, 0.15, 0.09], [0.42, 0.29, 0.18], [0.78, 0.70, 0.58]])
INK_COLOURS = np.array([[0.36, 0.20, 0.62], [0.22, 0.25, 0.62], [0.30, 0.18, 0.45]])
STICKER_COLOURS = np.array([[0.36, 0.80, 0.76], [0.93, 0.87, 0.20], [0.93, 0.58, 0.16], [0.25, 0.55, 0.85]])


def add_artifacts(image: Field, mask: Mask, rng: Random) -> Field:
    """Add a random choice of artefacts to an image HxWx3 with lesion mask HxW."""
    frame = Frame(image.shape[1], image.shape[0])
    chance = rng.random(7)
    if chance[0] < 0.08:
        image = add_ink(image, mask, rng)
    if chance[1] < 0.55:
        image = add_hair(image, rng)
    if chance[2] < 0.3:
        image = add_bubbles(image, rng)
    if chance[3] < 0.3:
        image = add_glints(image, rng)
    if chance[4] < 0.08:
        image = add_sticker(image, mask, rng)
    if chance[5] < 0.2:
        image = add_ruler(image, rng)
    if chance[6] < 0.35:
        image = add_aperture(image, mask, rng)
    return add_sensor(image, frame, rng)


def add_hair(image: Field, rng: Random) -> Field:
    """Add curved hairs of one colour, few or many, long or short, roughly in one direction."""
    frame = Frame(image.shape[1], image.shape[0])
    count = rng.choice([3, 10, 28], p=[0.5, 0.3, 0.2])
    length = rng.choice([0.06, 0.35, 0.9], p=[0.2, 0.3, 0.5])
    width = np.exp(rng.uniform(np.log(0.0025), np.log(0.008)))
    direction, spread = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 1.0)
    hairs = [_hair(frame, direction + rng.normal(0, spread), length, width, rng) for _ in range(count)]
    colour = rng.choice(HAIR_COLOURS, p=[0.4, 0.3, 0.2, 0.1]) + rng.normal(0, 0.02, 3)
    return _over(image, colour, rng.uniform(0.55, 0.95) * coverage(frame, hairs))


def add_ink(image: Field, mask: Mask, rng: Random) -> Field:
    """Add pen marks around the lesion: hatched patches, or a ring."""
    frame = Frame(image.shape[1], image.shape[0])
    centre, reach = _extent(frame, mask)
    reach = min(reach + rng.uniform(0.06, 0.15), 0.6)
    ring = rng.random() < 0.4
    strokes = _ring(centre, reach, rng) if ring else _hatching(centre, reach, rng)
    ink = ndimage.gaussian_filter(coverage(frame, strokes), 0.002 / frame.pixel)
    ink = ink * smoothstep(-1.5, 1.0, fractal(frame, 20, 3, rng)) * rng.uniform(0.4, 0.8)
    return _over(image, rng.choice(INK_COLOURS), ink * ~_near(frame, mask))


def add_bubbles(image: Field, rng: Random) -> Field:
    """Add bubbles in the immersion gel: rings, bright on the side of the light and dark on the other."""
    frame = Frame(image.shape[1], image.shape[0])
    light = rng.uniform(0, 2 * np.pi)
    shine = np.zeros(image.shape[:2])
    for _ in range(rng.integers(1, 9)):
        radius = np.exp(rng.uniform(np.log(0.006), np.log(0.035)))
        x, y = (frame.x - rng.uniform(-1, 1) * frame.half[0]), (frame.y - rng.uniform(-1, 1) * frame.half[1])
        rim = np.exp(-(((np.hypot(x, y) - radius) / (0.12 * radius + 0.4 * frame.pixel)) ** 2))
        shine += rim * (0.25 + 0.75 * np.cos(np.arctan2(y, x) - light))
    return np.asarray(np.clip(image + rng.uniform(0.1, 0.3) * shine[..., None], 0, 1))


def add_glints(image: Field, rng: Random) -> Field:
    """Add small white reflections of the lamp on the gel."""
    frame = Frame(image.shape[1], image.shape[0])
    specks = smoothstep(2.0, 3.2, noise(frame, rng.uniform(35, 60), rng))
    where = smoothstep(0.2, 1.4, noise(frame, 3, rng))
    return _over(image, np.ones(3), 0.8 * specks * where)


def add_sticker(image: Field, mask: Mask, rng: Random) -> Field:
    """Add a coloured round sticker at the image border, away from the lesion, if there is space."""
    frame = Frame(image.shape[1], image.shape[0])
    keep_off = _near(frame, mask)
    colour = rng.choice(STICKER_COLOURS) * rng.uniform(0.85, 1.05)
    radius = rng.uniform(0.3, 0.5)
    for angle in rng.uniform(0, 2 * np.pi, 12):
        direction = np.array([np.cos(angle), np.sin(angle)])
        centre = direction * np.min(frame.half / np.maximum(np.abs(direction), 1e-9)) * 1.25
        distance = np.hypot(frame.x - centre[0], frame.y - centre[1])
        disc = smoothstep(-0.006 - frame.pixel, frame.pixel, radius - distance)
        if not np.any(keep_off & (disc > 0)):
            shadow = 0.25 * np.exp(-np.clip(distance - radius, 0, None) / 0.012)[..., None]
            paper = colour * (1 + 0.02 * noise(frame, 60, rng)[..., None])
            shaded = image * (1 - shadow) * (1 - disc[..., None])
            return np.asarray(np.clip(shaded + paper * disc[..., None], 0, 1))
    return image


def add_ruler(image: Field, rng: Random) -> Field:
    """Add a millimetre scale with the letters MM below the lesion, or ticks along one side."""
    frame = Frame(image.shape[1], image.shape[0])
    strokes = _side_ticks(frame, rng) if rng.random() < 0.5 else _scale_bar(rng)
    ink = coverage(frame, strokes) * rng.uniform(0.7, 0.95)
    return _over(image, np.full(3, 0.08), ink)


def add_aperture(image: Field, mask: Mask, rng: Random) -> Field:
    """Add black or dark brown corners outside the round aperture of the dermatoscope."""
    frame = Frame(image.shape[1], image.shape[0])
    _, reach = _extent(frame, mask, centre=np.zeros(2))
    soft = np.exp(rng.uniform(np.log(0.006), np.log(0.08)))
    radius = max(rng.uniform(0.56, 0.82), reach + 2 * soft)
    distance = np.hypot(frame.x, frame.y)
    dim = 1 - rng.uniform(0.1, 0.4) * smoothstep(radius - 0.25, radius, distance)
    dark = smoothstep(-soft - frame.pixel, soft + frame.pixel, distance - radius)
    colour = rng.choice(np.array([[0.01, 0.01, 0.01], [0.06, 0.06, 0.06], [0.24, 0.20, 0.19]]))
    return _over(image * dim[..., None], colour, dark)


def add_sensor(image: Field, frame: Frame, rng: Random) -> Field:
    """Add the camera: slight blur and sensor noise."""
    blur = rng.uniform(0, 0.0012) / frame.pixel
    soft = ndimage.gaussian_filter(image, (blur, blur, 0)) if blur > 0.2 else image
    grain = rng.standard_normal(image.shape) * rng.uniform(0.002, 0.006)
    return np.asarray(np.clip(soft + grain, 0, 1))


def _over(image: Field, colour: Field, alpha: Field) -> Field:
    return np.asarray(image + alpha[..., None] * (np.clip(colour, 0, 1) - image))


def _extent(frame: Frame, mask: Mask, centre: Field | None = None) -> tuple[Field, float]:
    """Return the centre (2) of the lesion, unless given, and its distance to the farthest lesion pixel."""
    rows, columns = np.nonzero(mask)
    x, y = frame.x[0, columns], frame.y[rows, 0]
    centre = np.array([x.mean(), y.mean()]) if centre is None else centre
    return centre, float(np.max(np.hypot(x - centre[0], y - centre[1])))


def _near(frame: Frame, mask: Mask) -> Mask:
    """Return pixels within 3 % of the short side from the lesion."""
    return np.asarray(ndimage.maximum_filter(mask, 2 * round(0.03 / frame.pixel) + 1))


def _hair(frame: Frame, direction: float, length: float, width: float, rng: Random) -> Stroke:
    start = rng.uniform(-1.1, 1.1, 2) * frame.half
    reach = length * rng.uniform(0.6, 1.5)
    t = np.linspace(-0.5, 0.5, 24)
    heading = direction + rng.normal(0, 0.8) * t + rng.normal(0, 1.2) * (t**2 - 1 / 12)
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * reach / len(t)
    return start + np.cumsum(steps, axis=0), width * rng.uniform(0.6, 1.3)


def _ring(centre: Field, reach: float, rng: Random) -> list[Stroke]:
    angle = np.linspace(0, rng.uniform(4, 2 * np.pi), 60) + rng.uniform(0, 2 * np.pi)
    wobble = reach * (1 + 0.05 * np.sin(2 * angle + rng.uniform(0, 6)))
    points = centre + np.stack([np.cos(angle), np.sin(angle)], axis=1) * wobble[:, None]
    return [(points, rng.uniform(0.012, 0.03))]


def _hatching(centre: Field, reach: float, rng: Random) -> list[Stroke]:
    strokes: list[Stroke] = []
    turn = rng.uniform(0, 2 * np.pi)
    for angle in turn + np.arange(rng.integers(2, 5)) * np.pi / 2:
        spot = centre + reach * np.array([np.cos(angle), np.sin(angle)])
        corners = spot + rng.normal(0, 0.025, (rng.integers(6, 14), 2))
        strokes.append((corners, rng.uniform(0.008, 0.016)))
    return strokes


def _scale_bar(rng: Random) -> list[Stroke]:
    """Draw a tilted bar of ten millimetres with ticks and the letters MM in the lower part of the image."""
    step, width = rng.uniform(0.03, 0.05), rng.uniform(0.003, 0.005)
    ticks = [(10 * step * k / 20, 0.03 if k % 10 == 0 else 0.02 if k % 2 == 0 else 0.012) for k in range(21)]
    letter = np.array([[0, 1], [0, 0], [0.5, 0.6], [1, 0], [1, 1]]) * 0.025
    lines = [np.array([[0, 0], [10 * step, 0]])]
    lines += [letter + np.array([x, 0.02]) for x in (0, 0.03)]
    lines += [np.array([[x, 0], [x, -size]]) for x, size in ticks]
    tilt = rng.normal(0, 0.1)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    corner = np.array([rng.uniform(-0.4, 0.0), rng.uniform(0.38, 0.45)])
    return [(line @ turn + corner, width) for line in lines]


def _side_ticks(frame: Frame, rng: Random) -> list[Stroke]:
    """Draw parallel ticks at the left or the right border."""
    side = rng.choice([-1, 1])
    step, width = rng.uniform(0.05, 0.09), rng.uniform(0.004, 0.007)
    strokes: list[Stroke] = []
    for k, y in enumerate(np.arange(-frame.half[1], frame.half[1], step)):
        size = (0.07 if k % 5 == 0 else 0.04) * rng.uniform(0.9, 1.1)
        edge = side * frame.half[0]
        strokes.append((np.array([[edge, y], [edge - side * size, y - 0.01]]), width))
    return strokes
