"""Mahalanobis distances of feature vectors to groups of training images, each described by some Gaussians."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

KEPT_VARIANCE = 0.99
"""Share of the variance within groups that the principal components keep."""
SMALLEST_SCALE = 1e-4
"""Standard deviation of a feature, as a share of the largest, below which it is left out as constant."""
CASES_PER_COMPONENT = 10
"""Minimum number of cases for each principal component, so that covariances can be estimated from them."""
PRIOR_CASES = 60
"""Cases that the covariance shared by all clusters counts as, in the covariance of each cluster."""
MAX_CLUSTERS = 6
"""Clusters of a group, each with a Gaussian."""
CASES_PER_CLUSTER = 200
"""Minimum mean number of cases in the clusters of a group."""
CLUSTERED_COMPONENTS = 20
"""Leading components by which the cases of a group are clustered."""


@dataclass(frozen=True)
class FeatureSpace:
    """Principal components of standardised features, each of variance 1 within the groups.

    Attributes:
        centre: Mean that is subtracted from the features, D.
        basis: Linear map from features to components, DxK.
    """

    centre: Numbers
    basis: Numbers

    def project(self, features: Numbers) -> Numbers:
        """Map features (NxD) to components (NxK)."""
        components: Numbers = (features - self.centre) @ self.basis
        return components


@dataclass(frozen=True)
class Gaussians:
    """Multivariate normal distributions that describe one group together.

    Attributes:
        means: Mean of each distribution, GxK.
        whitenings: Lower triangular W with W W^T the inverse of each covariance, GxKxK.
    """

    means: Numbers
    whitenings: Numbers

    def distance(self, points: Numbers) -> Numbers:
        """Compute the Mahalanobis distance of points (NxK) to the nearest mean, N."""
        offsets = (points - self.means[:, None]) @ self.whitenings
        distance: Numbers = np.linalg.norm(offsets, axis=2).min(axis=0)
        return distance


def fit_space(
    groups: Mapping[str, Numbers], kept: float = KEPT_VARIANCE, components: int | None = None
) -> FeatureSpace:
    """Fit the space to the deviations of features from the mean of their group.

    Components with little variance are noise of the sample covariance, which would dominate a distance. With
    nearly as many components as cases, covariances would be singular.

    Args:
        groups: Features of each group, NxD; at least two different cases in one of them.
        kept: Share of the variance that is kept, in (0, 1]; less if there are fewer than
            `CASES_PER_COMPONENT` cases for a component.
        components: Number of components, instead.
    """
    deviations = np.concatenate([features - features.mean(axis=0) for features in groups.values()])
    scale = deviations.std(axis=0)
    varies = scale > SMALLEST_SCALE * scale.max()
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=varies)
    variances, directions = np.linalg.eigh(np.cov(deviations * inverse, rowvar=False, bias=True))
    variances, directions = variances[::-1], directions[:, ::-1]
    count = components
    if count is None:
        count = int(np.searchsorted(np.cumsum(variances), kept * variances.sum())) + 1
        count = min(count, max(len(deviations) // CASES_PER_COMPONENT, 1))
    basis = inverse[:, None] * directions[:, :count] / np.sqrt(variances[:count])
    return FeatureSpace(np.mean([features.mean(axis=0) for features in groups.values()], axis=0), basis)


def fit_gaussians(groups: Mapping[str, Numbers], prior: float = PRIOR_CASES) -> dict[str, Gaussians]:
    """Fit Gaussians to each group, whose covariances are shrunk towards their mean over all groups.

    A group is divided into clusters with a Gaussian each: images with a vignette, hair or a ruler vary in
    another way than images without, and one Gaussian wide enough for all of them would hold much else. The
    covariance of a cluster of n cases is (n S + prior P) / (n + prior), with its own covariance S and the
    mean P over all clusters: regularised discriminant analysis (Friedman 1989, eq. 16 to 18).

    Args:
        groups: Points of each group, NxK, with the most varying component first.
        prior: Cases that P counts as.
    """
    clusters = {name: _divide(points) for name, points in groups.items()}
    own = {
        name: np.array([np.atleast_2d(np.cov(one, rowvar=False, bias=True)) for one in parts])
        for name, parts in clusters.items()
    }
    shared = np.concatenate(list(own.values())).mean(axis=0)
    fitted = {}
    for name, parts in clusters.items():
        counts = np.array([len(one) for one in parts])[:, None, None]
        covariances = (counts * own[name] + prior * shared) / (counts + prior)
        whitenings = np.linalg.cholesky(np.linalg.inv(covariances))
        fitted[name] = Gaussians(np.array([one.mean(axis=0) for one in parts]), whitenings)
    return fitted


def _divide(points: Numbers) -> list[Numbers]:
    """Divide the points of a group into clusters by k-means over the leading components."""
    from scipy.cluster.vq import kmeans2  # slow to import; segmenting only applies a detector

    count = min(MAX_CLUSTERS, len(points) // CASES_PER_CLUSTER)
    if count < 2:
        return [points]
    generator = np.random.default_rng(0)
    _, cluster = kmeans2(points[:, :CLUSTERED_COMPONENTS], count, iter=50, minit="++", rng=generator)
    return [points[cluster == number] for number in np.unique(cluster)]
