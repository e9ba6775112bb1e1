"""Lesions of synthetic images: outline and pigments."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mlffm_segdiff.data.synthetic.fields import (
    Field,
    Frame,
    Random,
    fractal,
    honeycomb,
    noise,
    resolved,
    smoothstep,
)
from mlffm_segdiff.data.synthetic.skin import Pigments

Range = tuple[float, float]

# Log-odds of the pigment's share in the step at the contour, chosen so that the colour on the contour is
# about a third of the way from skin to lesion, as annotators draw it: 0.28 in ISIC 2018, 0.34 in PH2, 0.24
# in HAM10000.
_EDGE = -0.55
# Share of the frame of the contour before the warp; masks then cover between 5 and 60 % at 4:3 and 1:1.
_AREA = (0.07, 0.5)


class Kind(NamedTuple):
    """One appearance of lesions: its share, and ranges of its parts, in the units of `Pigments`.

    Attributes:
        share: Share of lesions.
        centre: Relative change of melanin from the rim to the middle.
        patches: Melanin in dark patches.
        black: Strength of black patches; ``veil`` of blue-grey, ``regression`` of pale ones.
    """

    share: float
    melanin: Range
    haemoglobin: Range = (0.0, 0.2)
    centre: Range = (-0.1, 0.5)
    variegation: Range = (0.1, 0.35)
    patches: Range = (0.0, 0.5)
    black: Range = (0.0, 0.3)
    veil: Range = (0.0, 0.1)
    regression: Range = (0.0, 0.3)
    network: Range = (0.0, 0.15)
    globules: Range = (0.0, 0.12)


RETICULAR = Kind(0.24, (0.4, 0.8), network=(0.3, 0.8))
GLOBULAR = Kind(0.12, (0.35, 0.75), globules=(0.5, 1.2), network=(0.0, 0.1))
PLAIN = Kind(0.16, (0.35, 0.75), patches=(0.0, 0.3), regression=(0.0, 0.0))
DARK_CENTRE = Kind(0.10, (0.3, 0.6), centre=(0.6, 1.8), black=(0.2, 0.7))
PALE_CENTRE = Kind(0.06, (0.5, 0.9), centre=(-0.6, -0.3))
RED = Kind(0.07, (0.2, 0.4), haemoglobin=(0.3, 0.7), black=(0.0, 0.1))
DARK = Kind(0.11, (0.5, 1.0), black=(0.5, 1.4), patches=(0.2, 0.8), globules=(0.0, 0.6))
VARIEGATED = Kind(
    0.11,
    (0.45, 0.9),
    variegation=(0.3, 0.55),
    patches=(0.5, 1.4),
    black=(0.3, 1.3),
    veil=(0.1, 0.6),
    regression=(0.3, 0.9),
    network=(0.1, 0.8),
)
BLUE = Kind(0.03, (0.25, 0.45), black=(0.4, 0.8), veil=(0.5, 0.75), patches=(0.0, 0.1), regression=(0.0, 0.0))
KINDS = (RETICULAR, GLOBULAR, PLAIN, DARK_CENTRE, PALE_CENTRE, RED, DARK, VARIEGATED, BLUE)


def lesion_depth(frame: Frame, rng: Random) -> tuple[Field, Field]:
    """Draw a random lesion.

    Its contour r(angle) is a sum of Fourier terms, squeezed to an ellipse and smoothly warped. A star-shaped
    region under such a map is one component without holes.

    Returns:
        Depth, about the distance to the contour, negative outside, HxW; and nearness to the middle, 1 at the
        centre and 0 at the rim, HxW.
    """
    x, y = _warped(frame, rng)
    area = float(np.clip(rng.lognormal(np.log(0.19), 0.65), *_AREA)) * float(np.prod(2 * frame.half))
    squeeze = np.sqrt(rng.uniform(0.58, 1))
    turn = rng.uniform(0, np.pi) if area < 0.3 else rng.normal(0, 0.3)
    along = (x * np.cos(turn) + y * np.sin(turn)) * squeeze
    across = (y * np.cos(turn) - x * np.sin(turn)) / squeeze
    size, distance = np.sqrt(area / np.pi), np.hypot(along, across)
    radius, steepness = _contour(np.arctan2(across, along), rng)
    depth = (size * radius - distance) / steepness
    return np.asarray(depth), np.clip(1 - (distance / size) ** 2, 0, 1)


def lesion_mask(depth: Field) -> NDArray[np.bool_]:
    """Return the mask, HxW: the largest connected component of positive depth, with holes filled."""
    pieces, _ = ndimage.label(depth > 0)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(pieces == np.argmax(sizes)), dtype=np.bool_)


def lesion_pigments(frame: Frame, depth: Field, middle: Field, rng: Random) -> Pigments:
    """Draw the pigments of a lesion of random kind; depth and middle are those of `lesion_depth`."""
    kind = KINDS[rng.choice(len(KINDS), p=[k.share for k in KINDS])]
    share = _edge_share(frame, depth, rng)
    melanin = rng.uniform(*kind.melanin) * (1 + rng.uniform(*kind.centre) * middle)
    melanin = melanin * np.exp(rng.uniform(*kind.variegation) * fractal(frame, 4, 6, rng, 0.8))
    melanin += rng.uniform(*kind.patches) * _patches(frame, 0.3, rng)
    melanin *= _structure(frame, rng.uniform(*kind.network), rng.uniform(*kind.globules), rng)
    redness = rng.uniform(*kind.haemoglobin) * np.exp(0.4 * fractal(frame, 4, 4, rng, 0.7))
    inner = smoothstep(0, 0.3, middle)
    black = rng.uniform(*kind.black) * (0.3 + 0.7 * _patches(frame, 0.0, rng)) * inner
    pale = 1 - rng.uniform(*kind.regression) * _patches(frame, 0.7, rng) * inner
    veil = rng.uniform(*kind.veil) * _patches(frame, 0.1, rng) * inner
    return Pigments(share * melanin * pale, share * redness, share * black * pale, share * veil)


def veil_colour(rng: Random) -> Field:
    """Draw the blue-grey of melanin deep in the skin: gamma-encoded sRGB, 3."""
    return np.asarray(np.array([0.36, 0.38, 0.46]) * rng.uniform(0.8, 1.25) + rng.normal(0, 0.02, 3))


def _warped(frame: Frame, rng: Random) -> tuple[Field, Field]:
    """Return coordinates relative to the lesion's centre, HxW, smoothly warped."""
    centre = np.clip(rng.normal(0, 0.06, 2), -0.15, 0.15)
    strength = rng.uniform(0.2, 1)
    shift = [
        0.03 * strength * noise(frame, 3, rng) + 0.009 * strength * fractal(frame, 9, 4, rng, 0.6)
        for _ in range(2)
    ]
    return frame.x - centre[0] + shift[0], frame.y - centre[1] + shift[1]


def _contour(angle: Field, rng: Random) -> tuple[Field, Field]:
    """Draw a closed curve around the unit circle: its radius at each angle, and the slope of depth, HxW."""
    table = np.linspace(-np.pi, np.pi, 721)
    orders = np.arange(2, 14)[:, None]
    sizes = rng.normal(0, rng.uniform(0.03, 0.14), orders.shape) / (orders / 2) ** 1.2
    phases = rng.uniform(0, 2 * np.pi, orders.shape)
    radius = np.exp(np.sum(sizes * np.cos(orders * table + phases), axis=0))
    bend = np.sum(sizes * orders * np.sin(orders * table + phases), axis=0)
    return np.interp(angle, table, radius), np.interp(angle, table, np.hypot(1, bend))


def _edge_share(frame: Frame, depth: Field, rng: Random) -> Field:
    """Return the share of the pigment, HxW in [0, 1]: a steep step at the contour and a slow rise inside."""
    width = np.exp(rng.uniform(np.log(0.004), np.log(0.025)))
    width = width * np.exp(0.5 * noise(frame, 3, rng)) + 0.3 * frame.pixel
    ragged = rng.uniform(0, 0.015) * fractal(frame, 25, 3, rng, 0.8)
    step, slow = _sigmoid((depth + ragged) / width + _EDGE), _sigmoid((depth - 0.03) / (0.015 + width))
    part = rng.uniform(0.15, 0.5)
    return (1 - part) * step + part * slow


def _sigmoid(value: Field) -> Field:
    return np.asarray(1 / (1 + np.exp(-np.clip(value, -30, 30))))


def _patches(frame: Frame, threshold: float, rng: Random) -> Field:
    """Draw soft-edged patches HxW in [0, 1]; a higher threshold gives fewer."""
    return smoothstep(threshold - 0.6, threshold + 0.9, fractal(frame, rng.uniform(3, 6), 5, rng, 0.7))


def _structure(frame: Frame, network: float, globules: float, rng: Random) -> Field:
    """Draw a factor on the melanin, HxW: a net of dark lines with pale holes, dark globules, and grain."""
    factor = 1 + rng.uniform(0.03, 0.15) * fractal(frame, 40, 2, rng, 1.0)
    place = smoothstep(-1.0, 0.8, noise(frame, 5, rng))
    if network > 0.1:
        holes = rng.uniform(36, 64)
        gaps = honeycomb(frame, holes, rng) + 0.12 * noise(frame, holes / 2, rng)
        lines = 0.55 - smoothstep(0.1, 0.6, gaps)
        factor += network * resolved(frame, 2 * holes) * place * lines
    if globules > 0.1:
        dots = rng.uniform(22, 45)
        drops = smoothstep(0.4, 0.75, honeycomb(frame, dots, rng) + 0.1 * noise(frame, dots / 3, rng)) - 0.25
        factor += globules * resolved(frame, 2 * dots) * place * drops
    return np.asarray(np.clip(factor, 0.1, None))
