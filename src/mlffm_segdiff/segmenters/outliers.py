"""Detection of images unlike the training images: outliers.safetensors, stored next to the weights."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import write_bytes
from mlffm_segdiff.metrics.conformal import conformal_quantile
from mlffm_segdiff.metrics.mahalanobis import (
    FeatureSpace,
    Gaussian,
    Numbers,
    fit_gaussians,
    fit_space,
)

OUTLIERS = "outliers.safetensors"
LEVEL = 0.97
"""Share of images like those of a data set that are not flagged, where it has enough validation cases."""
FEWEST_CASES = 20
"""Validation cases of a data set from which it gets a limit of its own: 1 of 21 is a false alarm."""
JOINED = "all"
"""Name of the data sets that were joined to one."""
FORMAT = "1"
FORMATS = {1: np.float32, 2: np.float16}
"""Number format of vectors and matrices in the file."""
LOG = logging.getLogger(__name__)


Model = TypeVar("Model", FeatureSpace, Gaussian)


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
        training: Number of images that its Gaussian was fitted to.
        cases: Number of validation cases that its limit is from.
        limit: Mahalanobis distance above which an image is unlike it.
        false_alarms: Largest expected share of images like its validation images that are flagged.
    """

    training: int
    cases: int
    limit: float
    false_alarms: float


@dataclass(frozen=True)
class OutlierDetector:
    """Mahalanobis distances of an image's features to the data sets of the training images.

    An image is an outlier if it is beyond the limit of every data set. Each limit is a conformal quantile
    of the distances of validation cases to their own data set, so of images drawn as these were, at most
    the share ``false_alarms`` is flagged in expectation. Nothing is learned from outliers.

    Attributes:
        space: Of the features of `segmenters.image_features`.
        gaussians: By data set, in this space.
        sets: By data set.
        weights: SHA-256 of the weights file; empty for weights that are not in a file.
    """

    space: FeatureSpace
    gaussians: Mapping[str, Gaussian]
    sets: Mapping[str, TrainingSet]
    weights: str = ""

    def distances(self, features: Numbers) -> dict[str, Numbers]:
        """Compute the distances of images (NxD) to each data set, N."""
        points = self.space.project(np.asarray(features, dtype=np.float64))
        return {name: gaussian.distance(points) for name, gaussian in self.gaussians.items()}

    def score(self, features: Numbers) -> OutlierScore:
        """Score one image by its features, D."""
        found = self.distances(features[None])
        ratios = {name: float(found[name][0]) / one.limit for name, one in self.sets.items()}
        nearest = min(ratios, key=ratios.__getitem__)
        return OutlierScore(ratios[nearest], nearest)

    def bind_to(self, weights: str) -> "OutlierDetector":
        """Return a copy for the weights with this SHA-256."""
        return replace(self, weights=weights)


def fit_detector(
    training: Mapping[str, Numbers], validation: Mapping[str, Numbers]
) -> OutlierDetector | None:
    """Fit a detector to features of training images, and its limits to those of validation images.

    If a data set has fewer than FEWEST_CASES validation cases, all sets are joined to one.

    Args:
        training: NxD by data set.
        validation: NxD by data set.

    Returns:
        The detector; None for fewer than FEWEST_CASES validation cases or training images in all.
    """
    if any(len(validation.get(name, ())) < FEWEST_CASES for name in training):
        training = {JOINED: np.concatenate(list(training.values()))}
        validation = {JOINED: np.concatenate(list(validation.values()))}
    if min(len(one) for groups in (training, validation) for one in groups.values()) < FEWEST_CASES:
        return None
    space = _rounded(fit_space(training))
    gaussians = fit_gaussians({name: space.project(features) for name, features in training.items()})
    gaussians = {name: _rounded(one) for name, one in gaussians.items()}
    sets = {}
    for name, gaussian in gaussians.items():
        cases = len(validation[name])
        level = min(LEVEL, cases / (cases + 1))
        limit = conformal_quantile(gaussian.distance(space.project(validation[name])), level)
        sets[name] = TrainingSet(len(training[name]), cases, limit, 1 - level)
    return OutlierDetector(space, gaussians, sets)


def write_outliers(detector: OutlierDetector, folder: Path) -> Path:
    """Write outliers.safetensors into the folder and return its path. Raises UserError if it cannot be."""
    arrays = {"centre": detector.space.centre, "basis": detector.space.basis}
    for name, gaussian in detector.gaussians.items():
        arrays |= {f"mean.{name}": gaussian.mean, f"whitening.{name}": gaussian.whitening}
    tensors = {name: np.ascontiguousarray(array, FORMATS[array.ndim]) for name, array in arrays.items()}
    sets = json.dumps({name: asdict(one) for name, one in detector.sets.items()})
    path = folder / OUTLIERS
    write_bytes(path, save(tensors, {"format": FORMAT, "weights": detector.weights, "sets": sets}))
    return path


def read_outliers(path: Path, weights: str | None = None) -> OutlierDetector | None:
    """Read a detector.

    Args:
        path: An outliers.safetensors file.
        weights: SHA-256 of the weights it should belong to; None accepts any.

    Returns:
        The detector; None if the file does not exist, or, with a logged warning, if it belongs to other
        weights.

    Raises:
        UserError: The file cannot be read.
    """
    if not path.is_file():
        return None
    try:
        found = _read(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}); remove it, or calibrate again") from None
    if weights is not None and found.weights != weights:
        LOG.warning(
            f"{path} was made for other weights (their SHA-256 differs), so images that are not dermoscopic "
            "are not flagged; download both again, or calibrate again"
        )
        return None
    return found


def _read(path: Path) -> OutlierDetector:
    with safe_open(path, framework="numpy") as file:
        facts = file.metadata()
        arrays = {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118
    if facts["format"] != FORMAT:
        raise ValueError(f"format {facts['format']}, not {FORMAT}")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("values are not finite")
    sets = {name: TrainingSet(**values) for name, values in json.loads(facts["sets"]).items()}
    space = FeatureSpace(arrays["centre"], arrays["basis"])
    gaussians = {name: Gaussian(arrays[f"mean.{name}"], arrays[f"whitening.{name}"]) for name in sets}
    detector = OutlierDetector(space, gaussians, sets, facts["weights"])
    detector.score(np.zeros(len(space.centre)))  # fails if the shapes do not match
    return detector


def _rounded(model: Model) -> Model:
    """Round arrays as the file does, so that limits fit the detector that is read back."""
    arrays = [array.astype(FORMATS[array.ndim]).astype(np.float64) for array in vars(model).values()]
    return type(model)(*arrays)
