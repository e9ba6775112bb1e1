"""Compare the nested sets of docs/INTERVALS.md on validation images: compare_nesting.py SET=FOLDER [STEP].

Prints the area between inner and outer contour, as a share of the mask's, at 80, 90 and 95 %: mean over the
images of one half and over random halves, calibrated on the other half. STEP 7 takes every seventh image.
"""

import sys
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from scipy.special import logit

from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.inference.model import load_model
from mlffm_segdiff.metrics.case_bounds import MIN_DOUBT, TOLERANCE
from mlffm_segdiff.metrics.certainty import soft_dice_confidence
from mlffm_segdiff.metrics.conformal import control_risk
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.segmenters.saved_weights import DEFAULT

Array = npt.NDArray[np.float64]
LEVELS = (0.8, 0.9, 0.95)
HALVES = 30
SHARPNESS = 10.0
THRESHOLDS = {
    "level": np.arange(-90, 91) / 10,
    "scaled": np.arange(-120, 121) / 10,
    "distance": np.arange(-80, 81) / 100,
}


def main(source: str, step: str = "1") -> None:
    """Print one row per kind of nested sets."""
    name, _, folder = source.partition("=")
    recipe = load_recipe(name, [f"data.sources.{name}={folder}"])
    pairs = open_split(load_split_cases(recipe.data), "val", recipe.data.size)
    images, truths = pairs.images[:: int(step)], pairs.masks[:: int(step)] > 0
    one, drawn = (maps(images, options) for options in ({}, {"samples": 16, "steps": 4}))
    distance = np.stack([relative_distance(map_ >= 0.5) for map_ in one])
    certainty = np.array([soft_dice_confidence(map_, map_ >= 0.5) for map_ in one])[:, None, None]
    level = clear_logit(one)
    kinds = {
        "level sets of the one-step probability": (level, "level"),
        "of the mean of 16 samples in 4 steps": (clear_logit(drawn), "level"),
        "distance to the border": (distance, "distance"),
        "the same, divided by doubt": (distance / (1 - certainty + MIN_DOUBT), "scaled"),
        "logit + 10 x the distance": (level + SHARPNESS * distance, "scaled"),
    }
    for kind, (scores, grid) in kinds.items():
        found = losses(scores, truths, THRESHOLDS[grid])
        widths = [band_width(found, at) for at in LEVELS]
        print(f"{kind:40s}", " / ".join(f"{width:.2f}" for width in widths))


def maps(images: npt.NDArray[np.uint8], options: Mapping[str, object]) -> Array:
    """Return the probability maps of images with these sampling settings."""
    model = load_model(DEFAULT, sampling=dict(options))
    found = []
    for start in range(0, len(images), 8):
        batch = model.segment(list(images[start : start + 8]), lambda _: None)
        found += [one.probability for one in batch]
    return np.stack(found).astype(np.float64)


def clear_logit(probability: Array) -> Array:
    """Return the logit, of probabilities clipped to [0.0001, 0.9999]."""
    values: Array = logit(np.clip(probability, 1e-4, 1 - 1e-4))
    return values


def relative_distance(mask: npt.NDArray[np.bool_]) -> Array:
    """Return the distance to the border of a mask, negative outside, over the square root of its area."""
    if not mask.any():
        return np.full(mask.shape, -9.0)
    signed: Array = distance_transform_edt(mask) - distance_transform_edt(~mask)
    return signed / np.sqrt(np.count_nonzero(mask))


def losses(scores: Array, truths: npt.NDArray[np.bool_], grid: Array) -> tuple[Array, Array, Array]:
    """Return whether too much is wrong out of and in each set {score >= threshold}, and its area."""
    found = []
    for score, truth in zip(scores, truths, strict=True):
        inside = score[None] >= grid[:, None, None]
        area, lesion = inside.sum((1, 2)), (inside & truth).sum((1, 2))
        missed = 1 - lesion / max(1, truth.sum())
        found.append((missed > TOLERANCE, (area - lesion) / np.maximum(1, area) > TOLERANCE, area))
    outer, inner, areas = (np.array(values, dtype=np.float64) for values in zip(*found, strict=True))
    return outer, inner, areas


def band_width(found: tuple[Array, Array, Array], level: float) -> float:
    """Return the mean width of the band over random halves."""
    outer, inner, area = found
    own, last = area.shape[1] // 2, area.shape[1] - 1
    widths = []
    for seed in range(HALVES):
        order = np.random.default_rng(seed).permutation(len(area))
        fit, test = order[: len(order) // 2], order[len(order) // 2 :]
        places = control_risk(outer[fit][:, ::-1], 1 - level), control_risk(inner[fit], 1 - level)
        if None in places:
            return float("nan")
        low, high = min(last - (places[0] or 0), own), max(places[1] or 0, own)
        widths.append(np.mean((area[test, low] - area[test, high]) / np.maximum(1, area[test, own])))
    return float(np.mean(widths))


if __name__ == "__main__":
    main(*sys.argv[1:])
