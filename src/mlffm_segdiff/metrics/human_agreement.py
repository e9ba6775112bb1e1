"""How well people would agree on the outline of a lesion, predicted from a probability map."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.metrics.certainty import THRESHOLD, soft_dice_confidence

Map = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]

TRAITS = 6
"""Number of `probability_traits`."""
PENALTY = 3.0
"""Of the ridge regression, on standardised traits."""
FOLDS = 10
SMALL = 1e-3
"""Added to areas, as shares of the image, so that the logarithm of an empty one is finite."""


@dataclass(frozen=True)
class AgreementModel:
    """A linear model of the mean Dice between people.

    Attributes:
        centre: Mean of each of `probability_traits`.
        scale: Standard deviation of each of them.
        slopes: Change of the Dice with a standard deviation of each.
        mean: Mean Dice of the cases.
        error: Mean absolute error by cross-validation.
        cases: Number of cases that it was fitted to.
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    slopes: tuple[float, ...]
    mean: float
    error: float
    cases: int

    def expected(self, traits: Numbers) -> float:
        """Predict the mean Dice between people, in [0, 1], from the traits of a probability map."""
        standardised = (traits - np.array(self.centre)) / np.array(self.scale)
        return float(np.clip(self.mean + standardised @ np.array(self.slopes), 0, 1))


def probability_traits(probability: Map) -> Numbers:
    """Compute features of a probability map that describe how clear a lesion's border is.

    Args:
        probability: SxS in [0, 1].

    Returns:
        Soft Dice confidence; square root and logarithm of the area; width of the doubtful border, in shares
        of the image's side for a round lesion; and the area that is nearly certain relative to the area that
        is possible, at 0.95 and 0.05, and at 0.8 and 0.2.
    """
    values = probability.astype(np.float64)
    area = values.mean()
    doubt = (values * (1 - values)).mean() / np.sqrt(area + SMALL)
    share = {level: (values > level).mean() + SMALL for level in (0.05, 0.2, THRESHOLD, 0.8, 0.95)}
    certainty = soft_dice_confidence(probability, probability >= THRESHOLD)
    ratios = share[0.95] / share[0.05], share[0.8] / share[0.2]
    return np.array([certainty, np.sqrt(area), np.log(share[THRESHOLD]), doubt, *ratios])


def fit_agreement(traits: Numbers, agreement: Numbers, penalty: float = PENALTY) -> AgreementModel:
    """Fit a ridge regression (Hoerl and Kennard 1970) of the agreement on the traits.

    Args:
        traits: Features of each case, see `probability_traits`, NxK; at least FOLDS cases.
        agreement: Mean Dice between people, N.
        penalty: Ridge penalty, the weight of the squared slopes of the standardised traits.
    """
    errors = np.abs(cross_validated(traits, agreement, penalty) - agreement)
    return _fitted(traits, agreement, penalty, float(errors.mean()))


def cross_validated(traits: Numbers, agreement: Numbers, penalty: float = PENALTY) -> Numbers:
    """Predict each case by a model that was fitted without its fold, N; folds are drawn with seed 0."""
    fold = np.random.default_rng(0).permutation(len(agreement)) % FOLDS
    predicted = np.empty(len(agreement))
    for number in range(FOLDS):
        model = _fitted(traits[fold != number], agreement[fold != number], penalty, 0.0)
        predicted[fold == number] = [model.expected(one) for one in traits[fold == number]]
    return predicted


def _fitted(traits: Numbers, agreement: Numbers, penalty: float, error: float) -> AgreementModel:
    centre, scale, mean = traits.mean(axis=0), traits.std(axis=0), float(agreement.mean())
    scale = np.where(scale > 0, scale, 1.0)
    known = (traits - centre) / scale
    slopes = np.linalg.solve(known.T @ known + penalty * np.eye(len(centre)), known.T @ (agreement - mean))
    return AgreementModel(
        tuple(centre.tolist()), tuple(scale.tolist()), tuple(slopes.tolist()), mean, error, len(agreement)
    )
