"""Mahalanobis distances of feature vectors to groups of training images, one Gaussian per group."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

KEPT_VARIANCE = 0.99
"""Share of the variance within groups that the principal components keep."""
PRIOR_CASES = 60
"""Cases that the covariance shared by all groups counts as, in the covariance of each group."""


@dataclass(frozen=True)
class FeatureSpace:
    """Principal components of standardised features, each of variance 1 within the groups.

    Attributes:
        centre: Subtracted from the features, D.
        basis: From features to components, DxK.
    """

    centre: Numbers
    basis: Numbers

    def project(self, features: Numbers) -> Numbers:
        """Map features (NxD) to components (NxK)."""
        components: Numbers = (features - self.centre) @ self.basis
        return components


@dataclass(frozen=True)
class Gaussian:
    """A multivariate normal distribution.

    Attributes:
        mean: K.
        whitening: W with W W^T the inverse of the covariance, KxK.
    """

    mean: Numbers
    whitening: Numbers

    def distance(self, points: Numbers) -> Numbers:
        """Compute the Mahalanobis distance of points (NxK) to the mean, N."""
        distance: Numbers = np.linalg.norm((points - self.mean) @ self.whitening, axis=1)
        return distance


def fit_space(groups: Mapping[str, Numbers], kept: float = KEPT_VARIANCE) -> FeatureSpace:
    """Fit the space to the deviations of features from the mean of their group.

    Components with little variance are noise of the sample covariance, which would dominate a distance.

    Args:
        groups: Features of each group, NxD; at least two cases in one of them.
        kept: Share of the variance that is kept, in (0, 1].
    """
    deviations = np.concatenate([features - features.mean(axis=0) for features in groups.values()])
    scale = deviations.std(axis=0)
    varies = scale > 1e-6 * scale.max()
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=varies)
    variances, directions = np.linalg.eigh(np.cov(deviations * inverse, rowvar=False, bias=True))
    variances, directions = variances[::-1], directions[:, ::-1]
    count = int(np.searchsorted(np.cumsum(variances), kept * variances.sum())) + 1
    basis = inverse[:, None] * directions[:, :count] / np.sqrt(variances[:count])
    return FeatureSpace(np.mean([features.mean(axis=0) for features in groups.values()], axis=0), basis)


def fit_gaussians(groups: Mapping[str, Numbers], prior: float = PRIOR_CASES) -> dict[str, Gaussian]:
    """Fit a Gaussian to each group, whose covariance is shrunk towards that of all groups.

    The covariance of a group of n cases is (n S + prior P) / (n + prior), with its own covariance S and the
    mean P over all groups: regularised discriminant analysis (Friedman 1989, eq. 16 to 18).

    Args:
        groups: Points of each group, NxK.
        prior: Cases that P counts as.
    """
    own = {name: np.atleast_2d(np.cov(points, rowvar=False, bias=True)) for name, points in groups.items()}
    shared = np.mean(list(own.values()), axis=0)
    fitted = {}
    for name, points in groups.items():
        covariance = (len(points) * own[name] + prior * shared) / (len(points) + prior)
        whitening = np.linalg.cholesky(np.linalg.inv(covariance))
        fitted[name] = Gaussian(points.mean(axis=0), whitening)
    return fitted
