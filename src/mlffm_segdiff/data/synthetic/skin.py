"""Skin of synthetic images: tone, light, pigments and surface lines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from skimage.color import lab2rgb

from mlffm_segdiff.data.synthetic.fields import Field, Frame, Random, fractal, noise, resolved, smoothstep

# CIELAB (D65) of the Fitzpatrick types I to VI as a dermatoscope shows them, and how often each is drawn.
# Lightness and spread follow the skin of ISIC 2018, HAM10000 and PH2 (2nd to 98th percentile: L* 50 to 92).
TONES = np.array([[85, 6, 4], [77, 8, 7], [70, 9, 10], [62, 11, 14], [52, 12, 16], [42, 12, 14]], float)
TONE_SHARE = np.array([0.22, 0.32, 0.26, 0.14, 0.04, 0.02])

# How a camera bends the colour of the skin: neutral, pink, violet, orange (offsets of a*, b*; share).
CASTS = np.array([[-4, -2], [13, -4], [8, -11], [4, 9]], float)
CAST_SHARE = np.array([0.45, 0.22, 0.1, 0.23])

# Optical density of a unit of pigment in gamma-encoded R, G, B. Absorption multiplies light, and
# stays a product under a power law, so no linear light is needed.
MELANIN = np.array([0.25, 0.66, 1.0])
HAEMOGLOBIN = np.array([0.06, 0.60, 0.50])
BLACK = np.array([0.93, 1.0, 1.0])


class Pigments(NamedTuple):
    """Amounts of pigment, each HxW.

    Attributes:
        melanin: Melanin in units of optical density, at least 0.
        haemoglobin: Haemoglobin in the same units, at least 0.
        black: Black pigment in the same units, at least 0.
        veil: Share of blue-grey light scattered by melanin deep in the skin, in [0, 1].
    """

    melanin: Field
    haemoglobin: Field
    black: Field
    veil: Field


def skin_colour(rng: Random) -> Field:
    """Draw the colour of bare skin: gamma-encoded sRGB, 3, in [0, 1]."""
    tone = rng.choice(TONES, p=TONE_SHARE) + rng.normal(0, [4, 1.5, 2.5])
    tone[1:] += rng.choice(CASTS, p=CAST_SHARE) + rng.normal(0, 2, 2)
    lab = np.clip(tone, [30, -3, -9], [92, 32, 32])
    return np.asarray(np.clip(lab2rgb(lab), 0.05, 1), dtype=np.float64)


def illumination(frame: Frame, rng: Random) -> Field:
    """Draw the illumination, HxW, about 1: a slope, a fall-off from the centre and slow waves."""
    angle = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, 0.09) * (frame.x * np.cos(angle) + frame.y * np.sin(angle))
    fall = rng.uniform(0, 0.2) * (frame.x**2 + frame.y**2)
    return np.asarray(1 + slope - fall + rng.uniform(0, 0.025) * noise(frame, 2, rng))


def skin_pigments(frame: Frame, rng: Random) -> Pigments:
    """Draw mottling, freckles and small vessels of the skin around a lesion."""
    melanin = rng.uniform(0.01, 0.06) * fractal(frame, 5, 5, rng, 0.7)
    melanin += rng.choice([0, 0.12, 0.3], p=[0.6, 0.3, 0.1]) * _freckles(frame, rng)
    redness = rng.uniform(0.01, 0.07) * fractal(frame, 4, 5, rng, 0.7)
    redness += rng.choice([0, 0.1, 0.25], p=[0.7, 0.22, 0.08]) * _vessels(frame, rng)
    none = np.zeros((frame.height, frame.width))
    return Pigments(melanin, redness, none, none)


def surface(frame: Frame, rng: Random) -> Field:
    """Draw the relief of the skin as a factor on its light: furrows in two directions, and grain.

    Args:
        frame: Pixel grid of the image.
        rng: Random generator; its state advances.

    Returns:
        Factor on the light of each pixel, HxW, about 1.
    """
    grain = rng.uniform(0.004, 0.014) * fractal(frame, 25, 3, rng, 0.9)
    direction = rng.uniform(0, np.pi)
    crossing = direction + rng.uniform(0.9, 1.6)
    lines = _furrows(frame, direction, rng) + _furrows(frame, crossing, rng)
    return np.asarray(1 + grain + rng.choice([0, 0.02, 0.05], p=[0.5, 0.35, 0.15]) * lines)


def shade(colour: Field, light: Field, skin: Pigments, lesion: Pigments, veil: Field) -> Field:
    """Render skin with pigments by absorption.

    Args:
        colour: Colour of bare skin, 3.
        light: Light, HxW.
        skin: Pigments of the skin.
        lesion: Pigments of the lesion.
        veil: Colour of light scattered by deep melanin, 3.

    Returns:
        Image HxWx3 in [0, 1].
    """
    melanin = skin.melanin + lesion.melanin
    haemoglobin = skin.haemoglobin + lesion.haemoglobin
    density = melanin[..., None] * MELANIN + haemoglobin[..., None] * HAEMOGLOBIN
    density += lesion.black[..., None] * BLACK
    image = colour * np.exp(-density)
    image += lesion.veil[..., None] * (veil - image)
    return np.asarray(np.clip(image * light[..., None], 0, 1))


def _freckles(frame: Frame, rng: Random) -> Field:
    spots = fractal(frame, rng.uniform(6, 14), 3, rng)
    return smoothstep(0.6, 2.6, spots) * smoothstep(-0.5, 1.2, noise(frame, 2, rng))


def _vessels(frame: Frame, rng: Random) -> Field:
    lines = fractal(frame, rng.uniform(5, 9), 4, rng, 0.75)
    return np.exp(-((lines / 0.15) ** 2)) * smoothstep(-0.3, 1.0, noise(frame, 4, rng))


def _furrows(frame: Frame, direction: float, rng: Random) -> Field:
    """Draw fine broken parallel lines, HxW: about 1 on a line, below 0 between."""
    frequency = rng.uniform(16, 30)
    along = frame.x * np.cos(direction) + frame.y * np.sin(direction)
    phase = along * frequency + 0.5 * fractal(frame, 6, 4, rng, 0.8)
    lines = np.exp(-((np.sin(np.pi * phase) / 0.2) ** 2)) - 0.11
    broken = smoothstep(-0.3, 1.2, fractal(frame, 12, 2, rng))
    return np.asarray(lines * broken * resolved(frame, 3 * frequency))
