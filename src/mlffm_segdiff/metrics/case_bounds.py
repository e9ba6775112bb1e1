"""Bounds of one case at a level of confidence: where its border, its area and its Dice are.

All are conformal: `fit_bounds` chooses them on calibration cases, so that they hold for a share of at least
``level`` of new cases that are exchangeable with these, on average over the choice of the calibration cases.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from mlffm_segdiff.metrics.conformal import conformal_quantile, control_risk, fewest_cases
from mlffm_segdiff.metrics.overlap import Mask

Numbers = npt.NDArray[np.float64]
Map = npt.NDArray[np.float32]

LEVELS = (0.8, 0.9, 0.95)
"""Levels that intervals and contours are offered at."""
THRESHOLDS: Numbers = np.concatenate([[0.0], expit(np.arange(-90, 91) / 10), [2.0]])
"""Of the nested sets {probability >= threshold}, from the whole image to no pixel, at usual contrast."""
MASK_INDEX = 91
"""Index of the threshold 0.5 of the mask itself."""
TOLERANCE = 0.05
"""Share of its pixels that a contour may have on the wrong side where it holds for a case."""
MIN_SHARE = 1e-3
"""Added to areas (shares of the image) before their logarithm is taken."""
MIN_DOUBT = 0.01
"""Added to 1 - certainty, in which errors of the area are measured."""
USUAL_CONTRAST = 24.0
"""Contrast (Delta E*ab) at which the nested sets have the probabilities of `THRESHOLDS`."""
CONTRASTS = (6.0, 60.0)
"""Contrasts below and above have the effect of these."""
MIN_ERROR = 0.005
"""Added to 1 - Dice and 1 - certainty before their logarithm is taken."""
ERROR_EXPONENT = 1.25
"""Power of 1 - certainty that 1 - Dice is proportional to, roughly."""


@dataclass(frozen=True)
class Bounds:
    """The bounds at one level.

    The probabilities of contours are those at `USUAL_CONTRAST`; see `threshold_at`.

    Attributes:
        inner: Probability from which pixels are within the inner contour: with the level's probability, at
            most `TOLERANCE` of them are not lesion.
        outer: Probability from which pixels are within the outer contour: with the level's probability, at
            most `TOLERANCE` of the lesion is outside.
        mean_inner: As ``inner``, but on average at most 1 - level of the pixels within are not lesion.
        mean_outer: As ``outer``, but on average at most 1 - level of the lesion is outside.
        area_low: How far the area may be below that of the mask, on the scale of `area_scores`.
        area_high: How far it may be above.
        dice_low: How much larger than usual 1 - Dice may be, on the scale of `dice_scores`.
        dice_high: How much smaller.
    """

    inner: float
    outer: float
    mean_inner: float
    mean_outer: float
    area_low: float
    area_high: float
    dice_low: float
    dice_high: float


@dataclass(frozen=True)
class CheckedCase:
    """Comparison of the possible bounds of a case with its ground truth.

    Attributes:
        certainty: Soft Dice confidence of the mask, in [0, 1].
        contrast: Distance (Delta E*ab) of the mean colours inside and outside of the mask.
        share: Area of the mask as a share of the image.
        true_share: Area of the lesion as a share of the image.
        dice: Dice of the mask, in [0, 1].
        outer_loss: For each of `THRESHOLDS`, the share of the lesion's pixels below it; 0 without a lesion.
        inner_loss: For each of `THRESHOLDS`, the share of the pixels from it that are not lesion; 0 for none.
        set_share: For each of `THRESHOLDS`, the share of the image's pixels from it.
    """

    certainty: float
    contrast: float
    share: float
    true_share: float
    dice: float
    outer_loss: Numbers
    inner_loss: Numbers
    set_share: Numbers


def check_case(probability: Map, truth: Mask, certainty: float, contrast: float, dice: float) -> CheckedCase:
    """Compare the nested sets of a probability map with the ground truth.

    Args:
        probability: HxW in [0, 1].
        truth: HxW bool.
        certainty: Soft Dice confidence of the mask, in [0, 1].
        contrast: Colour contrast of the mask (Delta E*ab), see `CheckedCase`.
        dice: Dice of the mask, in [0, 1].
    """
    thresholds = np.array([threshold_at(one, contrast) for one in THRESHOLDS], dtype=np.float32)
    reached = np.searchsorted(thresholds, probability.ravel(), side="right")
    lesion, pixels = (
        np.bincount(places, minlength=len(thresholds) + 1)[::-1].cumsum()[::-1][1:]
        for places in (reached[truth.ravel()], reached)
    )
    size = int(truth.sum())
    return CheckedCase(
        certainty,
        contrast,
        pixels[MASK_INDEX] / truth.size,
        size / truth.size,
        dice,
        1 - lesion / size if size else np.zeros(len(thresholds)),
        (pixels - lesion) / np.maximum(pixels, 1),
        pixels / truth.size,
    )


def threshold_at(threshold: float, contrast: float) -> float:
    """Return the probability from which pixels are in a nested set, for an image of this contrast.

    The sets of a threshold reach further from the border of the mask where the contrast is low: the logit of
    the threshold is multiplied by sqrt(USUAL_CONTRAST / contrast).

    Args:
        threshold: Threshold at `USUAL_CONTRAST`; 0 and those above 1 do not change.
        contrast: Colour contrast of the mask (Delta E*ab), see `CheckedCase`.
    """
    if not 0 < threshold < 1:
        return threshold
    return float(expit(logit(threshold) * _contrast_factor(contrast)))


def area_scores(case: CheckedCase) -> float:
    """Return how far the true area is above that of the mask: log ratio, in units of the mask's doubt."""
    ratio = (case.true_share + MIN_SHARE) / (case.share + MIN_SHARE)
    return math.log(ratio) / _doubt(case.certainty, case.contrast)


def area_interval(share: float, certainty: float, contrast: float, bounds: Bounds) -> tuple[float, float]:
    """Return the interval of the true area, as a share of the image, in [0, 1].

    Args:
        share: Area of the mask as a share of the image.
        certainty: Soft Dice confidence of the mask, in [0, 1].
        contrast: Colour contrast of the mask (Delta E*ab), see `CheckedCase`.
        bounds: Bounds calibrated at the level of the interval.

    Returns:
        Its ends; the whole range if nothing was found, as there is no mask to start from.
    """
    if not share:
        return 0.0, 1.0
    doubt = _doubt(certainty, contrast)
    low, high = (
        (share + MIN_SHARE) * math.exp(score * doubt) - MIN_SHARE
        for score in (-bounds.area_low, bounds.area_high)
    )
    return max(0.0, low), min(1.0, high)


def dice_scores(case: CheckedCase) -> float:
    """Return how much larger 1 - Dice is than its usual value at the mask's certainty: a log ratio."""
    return math.log(1 - case.dice + MIN_ERROR) - _usual_error(case.certainty)


def dice_interval(certainty: float, bounds: Bounds) -> tuple[float, float]:
    """Return the interval of the Dice of a mask with this certainty.

    Args:
        certainty: Soft Dice confidence of the mask, in [0, 1].
        bounds: Bounds calibrated at the level of the interval.

    Returns:
        Its ends, low and high, in [0, 1].
    """
    low, high = (
        1 + MIN_ERROR - math.exp(_usual_error(certainty) + score)
        for score in (bounds.dice_low, -bounds.dice_high)
    )
    return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)


def fit_bounds(cases: Sequence[CheckedCase], level: float) -> Bounds | None:
    """Choose the tightest bounds that hold at this level for a new case.

    Contours: conformal risk control (Angelopoulos et al. 2022, arXiv:2208.02814) over the nested sets; the
    inner contour is never outside the mask, the outer one never inside. Intervals: split conformal
    prediction with (1 - level) / 2 on each side (Lei et al. 2018; Romano et al. 2019, arXiv:1905.03222).

    Args:
        cases: Calibration cases, exchangeable with new ones.
        level: Coverage, in (0, 1).

    Returns:
        The bounds; None for fewer cases than `fewest_cases`.
    """
    if len(cases) < fewest_cases(level):
        return None
    scores = bound_scores(cases)
    limits = {name: conformal_quantile(scores[name], share_within(name, level)) for name in scores}
    outer, inner = _losses(cases)
    for name, losses in (("mean_inner", inner), ("mean_outer", outer)):
        index = control_risk(losses, round(1 - level, 9))
        assert index is not None, "the last set has no loss, and there are enough cases"
        limits[name] = index - MASK_INDEX
    return bounds_of(limits)


def bound_scores(cases: Sequence[CheckedCase]) -> dict[str, Numbers]:
    """Return how far each bound must reach to hold for each case, by the name of the bound.

    Contours: steps on `THRESHOLDS` from the mask to the nearest set from which on at most `TOLERANCE` is
    wrong. Their conformal quantile is the set that `control_risk` chooses for the share of cases with more.
    """
    outer, inner = _losses(cases)
    area, error = (np.array([scores(case) for case in cases]) for scores in (area_scores, dice_scores))
    sides = {"area_low": -area, "area_high": area, "dice_low": error, "dice_high": -error}
    return {"inner": _steps(inner), "outer": _steps(outer), **sides}


def share_within(name: str, level: float) -> float:
    """Return the share of cases whose score a bound of this name must reach: intervals have two sides."""
    return level if name in ("inner", "outer") else (1 + level) / 2


def bounds_of(limits: Mapping[str, float]) -> Bounds:
    """Return the bounds that reach these limits, by name; of contours in steps, as in `bound_scores`."""
    last, known = len(THRESHOLDS) - 1, dict(limits)
    for name in ("inner", "outer", "mean_inner", "mean_outer"):
        steps = min(max(math.ceil(limits[name] - 1e-9), 0), last - MASK_INDEX)
        known[name] = float(THRESHOLDS[MASK_INDEX + steps if name.endswith("inner") else MASK_INDEX - steps])
    return Bounds(**known)


def most_conservative(bounds: Sequence[Bounds]) -> Bounds:
    """Return the bounds that hold wherever one of these does: each the widest of its kind."""
    values = [asdict(one) for one in bounds]
    return Bounds(
        **{name: (min if name.endswith("outer") else max)(one[name] for one in values) for name in values[0]}
    )


def _losses(cases: Sequence[CheckedCase]) -> tuple[Numbers, Numbers]:
    """Return the losses of the outer and of the inner sets, from those that lose most; cases x sets."""
    outer = np.stack([case.outer_loss[::-1] for case in cases])
    return outer, np.stack([case.inner_loss for case in cases])


def _steps(losses: Numbers) -> Numbers:
    """Return for each case the set after the last one that loses too much, in steps from the mask."""
    bad = losses > TOLERANCE
    after = losses.shape[1] - np.argmax(bad[:, ::-1], axis=1)
    return np.where(bad.any(axis=1), after, 0).astype(np.float64) - MASK_INDEX


def _contrast_factor(contrast: float) -> float:
    return math.sqrt(USUAL_CONTRAST / min(max(contrast, CONTRASTS[0]), CONTRASTS[1]))


def _doubt(certainty: float, contrast: float) -> float:
    return (1 - certainty + MIN_DOUBT) * _contrast_factor(contrast)


def _usual_error(certainty: float) -> float:
    return ERROR_EXPONENT * math.log(1 - certainty + MIN_ERROR)
