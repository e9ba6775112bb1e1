"""Detection of images unlike the training images: outliers.safetensors, stored next to the weights."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save

from mlffm_segdiff.metrics.conformal import conformal_quantile
from mlffm_segdiff.metrics.mahalanobis import FeatureSpace, Gaussians, Numbers, fit_gaussians, fit_space
from mlffm_segdiff.segmenters.companion_file import CompanionFile

LEVEL = 0.97
"""Share of images like those of a data set that are not flagged."""
MIN_CASES = 33
"""Cases that a limit at this level needs: 33 / 34 is the first share of n + 1 cases to reach it."""
FOLDS = 10
JOINED = "all"
"""Name of the data sets that were joined to one."""
FORMATS = {1: np.float32, 2: np.float16, 3: np.float16}
"""Number format in the file by the number of dimensions of an array."""

Model = TypeVar("Model", FeatureSpace, Gaussians)


@dataclass(frozen=True)
class OutlierScore:
    """How unlike the training images an image is.

    Attributes:
        score: Distance to the nearest data set of the training images, as a multiple of its limit.
        nearest: Name of this data set.
        threshold: Score above which the image is flagged.
    """

    score: float
    nearest: str
    threshold: float = 1.0

    @property
    def flagged(self) -> bool:
        """Whether the image is unlike those of every data set."""
        return not self.score <= self.threshold


@dataclass(frozen=True)
class TrainingSet:
    """A data set of the training images.

    Attributes:
        training: Number of images that its Gaussians were fitted to.
        cases: Number of images that its limit is from.
        cross_fitted: Whether training images are among these.
        limit: Mahalanobis distance above which an image is unlike it.
    """

    training: int
    cases: int
    cross_fitted: bool
    limit: float


@dataclass(frozen=True)
class OutlierDetector:
    """Mahalanobis distances of an image's features to the data sets of the training images.

    An image is an outlier if it is beyond the limit of every data set. Each limit is a conformal quantile
    of the distances of validation cases to their own data set, so of images drawn as these were, at most
    the share 1 - LEVEL is flagged in expectation. Nothing is learned from outliers.

    Attributes:
        space: Projection of the features of `segmenters.image_features`.
        gaussians: Gaussians of each data set in this space, by name.
        sets: Limit and numbers of images of each data set, by name.
    """

    space: FeatureSpace
    gaussians: Mapping[str, Gaussians]
    sets: Mapping[str, TrainingSet]

    def distances(self, features: npt.NDArray[np.floating[Any]]) -> dict[str, Numbers]:
        """Compute the distances of images (NxD) to each data set, N."""
        points = self.space.project(np.asarray(features, dtype=np.float64))
        return {name: gaussians.distance(points) for name, gaussians in self.gaussians.items()}

    def score(self, features: npt.NDArray[np.floating[Any]]) -> OutlierScore:
        """Score one image by its features, D."""
        found = self.distances(features[None])
        ratios = {name: float(found[name][0]) / one.limit for name, one in self.sets.items()}
        nearest = min(ratios, key=ratios.__getitem__)
        return OutlierScore(ratios[nearest], nearest)


def fit_detector(
    training: Mapping[str, Numbers], validation: Mapping[str, Numbers]
) -> OutlierDetector | None:
    """Fit a detector to features of training images, and its limits to those of validation images.

    A data set with fewer than MIN_CASES validation images also uses the distances of its training images,
    each in a space and to Gaussians that were fitted without its fold (cross-validation). No share of false
    alarms is guaranteed for it; docs/OUTLIERS.md has the measured one. If a data set has fewer than MIN_CASES
    training images, all sets are joined to one. Training images with equal features, such as copies, count as
    one.

    Args:
        training: NxD by data set.
        validation: NxD by data set.

    Returns:
        The detector; None for fewer than MIN_CASES training images in all, or if a feature varies so little
            that the file's number format cannot hold its weight.
    """
    training = {name: _distinct(features) for name, features in training.items()}
    if any(len(features) < MIN_CASES for features in training.values()):
        training = {JOINED: _distinct(np.concatenate(list(training.values())))}
        validation = {JOINED: np.concatenate(list(validation.values()))}
    if min(map(len, training.values())) < MIN_CASES:
        return None
    space = _rounded(fit_space(training))
    if space is None:
        return None
    points = {name: space.project(features) for name, features in training.items()}
    gaussians = {}
    for name, one in fit_gaussians(points).items():
        if (rounded := _rounded(one)) is None:
            return None
        gaussians[name] = rounded
    sets = {}
    for name, fitted in gaussians.items():
        distances = np.empty(0)
        if name in validation:
            distances = fitted.distance(space.project(validation[name]))
        few = len(distances) < MIN_CASES
        if few:
            distances = np.concatenate([distances, _cross_fitted(training, name, space.basis.shape[1])])
        limit = conformal_quantile(distances, LEVEL)
        sets[name] = TrainingSet(len(points[name]), len(distances), few, limit)
    return OutlierDetector(space, gaussians, sets)


def _distinct(features: Numbers) -> Numbers:
    """Return the rows (NxD) without repetitions, in their order."""
    _, first = np.unique(features, axis=0, return_index=True)
    return features[np.sort(first)]


def _cross_fitted(training: Mapping[str, Numbers], name: str, components: int) -> Numbers:
    """Return the distance of each image of a set to Gaussians that were fitted without its fold."""
    own = training[name]
    fold = np.random.default_rng(0).permutation(len(own)) % FOLDS
    distances = np.empty(len(own))
    for number in range(FOLDS):
        others = {**training, name: own[fold != number]}
        space = fit_space(others, components=components)
        points = {name: space.project(features) for name, features in others.items()}
        fitted = fit_gaussians(points)[name]
        distances[fold == number] = fitted.distance(space.project(own[fold == number]))
    return distances


class _OutliersFile(CompanionFile[OutlierDetector]):
    """Arrays as tensors, everything else as metadata, whose values are strings."""

    def load(self, path: Path) -> dict[str, Any]:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118
            facts = file.metadata()
        return {**facts, "format": int(facts["format"]), "sets": json.loads(facts["sets"]), "arrays": arrays}

    def parse(self, values: dict[str, Any]) -> OutlierDetector:
        arrays = values["arrays"]
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("values are not finite")
        sets = {name: TrainingSet(**facts) for name, facts in values["sets"].items()}
        if not all(0 < one.limit < math.inf for one in sets.values()):
            raise ValueError("limits must be finite and above 0")
        space = FeatureSpace(arrays["centre"], arrays["basis"])
        gaussians = {}
        for name in sets:
            means, lower = arrays[f"means.{name}"], arrays[f"whitenings.{name}"]
            whitenings = np.zeros((*means.shape, means.shape[1]))
            whitenings[:, *np.tril_indices(means.shape[1])] = lower
            gaussians[name] = Gaussians(means, whitenings)
        detector = OutlierDetector(space, gaussians, sets)
        detector.score(np.zeros(len(space.centre)))  # fails if the shapes do not match
        return detector

    def dump(self, content: OutlierDetector, weights: str) -> bytes:
        arrays = {"centre": content.space.centre, "basis": content.space.basis}
        for name, gaussians in content.gaussians.items():
            lower = gaussians.whitenings[:, *np.tril_indices(gaussians.means.shape[1])]
            arrays |= {f"means.{name}": gaussians.means, f"whitenings.{name}": lower}
        tensors = {name: np.ascontiguousarray(array, FORMATS[array.ndim]) for name, array in arrays.items()}
        sets = json.dumps({name: asdict(one) for name, one in content.sets.items()})
        return save(tensors, {"format": str(self.version), "weights": weights, "sets": sets})


OUTLIERS = _OutliersFile(
    "outliers.safetensors", 2, "images that are not dermoscopic are not flagged", "calibrate again"
)


def _rounded(model: Model) -> Model | None:
    """Round arrays as the file does, so that limits fit the detector that is read back; None if it cannot."""
    with np.errstate(over="ignore"):
        arrays = [array.astype(FORMATS[array.ndim]).astype(np.float64) for array in vars(model).values()]
    return type(model)(*arrays) if all(np.isfinite(array).all() for array in arrays) else None
