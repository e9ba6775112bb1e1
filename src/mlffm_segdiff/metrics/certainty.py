"""How sure a segmenter is of a mask, from its answer alone, and what Dice that let us expect before."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from mlffm_segdiff.metrics.overlap import Mask, count_pixels, dice

Map = npt.NDArray[np.float32]

THRESHOLD = 0.5


def soft_dice_confidence(probability: Map, mask: Mask) -> float:
    """Return 2 sum(p over the mask) / (sum(p) + pixels of the mask), in [0, 1]; 0 for an empty mask.

    probability: HxW in [0, 1]. mask: HxW bool. Soft Dice Confidence of Borges et al. 2024, arXiv:2402.10665:
    near the Dice to expect of the mask where the probabilities are true and the pixels independent.
    """
    area = np.count_nonzero(mask)
    if not area:
        return 0.0
    total = probability.sum(dtype=np.float64) + area
    return float(2 * probability[mask].sum(dtype=np.float64) / total)


def sample_agreement(samples: Map) -> float | None:
    """Return the mean Dice of all pairs of samples (NxHxW in [0, 1]) as masks; None for one sample.

    Roy et al. 2019 (Bayesian QuickNAT). Two empty masks agree.
    """
    masks = samples >= THRESHOLD
    pairs = [dice(count_pixels(one, other)) for one, other in combinations(masks, 2)]
    return float(np.mean(pairs)) if pairs else None


@dataclass(frozen=True)
class Calibration:
    """A curve from certainty to Dice that never falls: its corners, both sequences rising and in [0, 1]."""

    certainty: tuple[float, ...]
    dice: tuple[float, ...]

    def expected_dice(self, certainty: float) -> float:
        """Return the Dice to expect at this certainty: straight between corners, level beyond the ends.

        0 at certainty 0, where nothing was found: every picture is taken to show a lesion.
        """
        if certainty == 0:
            return 0.0
        return float(np.interp(certainty, self.certainty, self.dice))


def fit_calibration(certainty: Sequence[float], dices: Sequence[float]) -> Calibration:
    """Return the rising curve nearest to the Dice of cases at their certainty; one case or more.

    Isotonic regression (Zadrozny and Elkan 2002) by the pool-adjacent-violators algorithm. Each level run of
    it gives its two ends as corners. Cases of equal certainty count as one with their mean Dice.
    """
    places, of_place, weights = np.unique(certainty, return_inverse=True, return_counts=True)
    means = np.bincount(of_place, weights=np.asarray(dices, dtype=np.float64)) / weights
    found = isotonic_regression(means, weights=weights)
    ends = np.unique(np.concatenate([found.blocks[:-1], found.blocks[1:] - 1]))
    return Calibration(tuple(places[ends].tolist()), tuple(found.x[ends].tolist()))
