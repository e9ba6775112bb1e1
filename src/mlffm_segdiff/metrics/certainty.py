"""Certainty of a segmentation without ground truth, and the Dice to expect at a certainty."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.metrics.overlap import Mask, count_pixels, dice

Map = npt.NDArray[np.float32]

THRESHOLD = 0.5
"""Default probability from which a pixel is lesion."""


def soft_dice_confidence(probability: Map, mask: Mask) -> float:
    """Compute the Soft Dice Confidence of a mask (Borges et al. 2024, arXiv:2402.10665).

    It is 2 sum(p over the mask) / (sum(p) + pixels of the mask), close to the expected Dice if probabilities
    are calibrated and pixels independent.

    Args:
        probability: HxW in [0, 1].
        mask: HxW bool.

    Returns:
        Confidence in [0, 1]; 0 for an empty mask.
    """
    area = np.count_nonzero(mask)
    if not area:
        return 0.0
    total = probability.sum(dtype=np.float64) + area
    return float(2 * probability[mask].sum(dtype=np.float64) / total)


def sample_agreement(samples: Map) -> float | None:
    """Compute the mean Dice of all pairs of samples (Roy et al. 2019, Bayesian QuickNAT).

    Args:
        samples: NxHxW in [0, 1], thresholded at 0.5. Two empty masks have Dice 1.

    Returns:
        Agreement in [0, 1]; None for one sample.
    """
    masks = samples >= THRESHOLD
    pairs = [dice(count_pixels(one, other)) for one, other in combinations(masks, 2)]
    return float(np.mean(pairs)) if pairs else None


@dataclass(frozen=True)
class Calibration:
    """A non-decreasing, piecewise linear curve from certainty to Dice.

    Attributes:
        certainty: Certainty of its knots, increasing, in [0, 1].
        dice: Dice of its knots, non-decreasing, in [0, 1].
    """

    certainty: tuple[float, ...]
    dice: tuple[float, ...]

    def expected_dice(self, certainty: float) -> float:
        """Return the expected Dice at a certainty; constant beyond the ends.

        It is 0 at certainty 0, where no lesion was found: every image is assumed to show a lesion.
        """
        if certainty == 0:
            return 0.0
        return float(np.interp(certainty, self.certainty, self.dice))


def fit_calibration(certainty: Sequence[float], dices: Sequence[float]) -> Calibration:
    """Fit a calibration by isotonic regression (Zadrozny and Elkan 2002).

    The ends of each constant piece become knots. Cases of equal certainty are merged, with their mean Dice.

    Args:
        certainty: Certainty of each case; at least one case.
        dices: Dice of each case.
    """
    from scipy.optimize import isotonic_regression  # slow to import; segmenting only applies a calibration

    places, of_place, weights = np.unique(certainty, return_inverse=True, return_counts=True)
    means = np.bincount(of_place, weights=np.asarray(dices, dtype=np.float64)) / weights
    found = isotonic_regression(means, weights=weights)
    ends = np.unique(np.concatenate([found.blocks[:-1], found.blocks[1:] - 1]))
    return Calibration(tuple(places[ends].tolist()), tuple(found.x[ends].tolist()))
