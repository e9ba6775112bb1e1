"""Scores of samples as a distribution of masks: energy distance, diversity, coverage of the area."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.metrics.overlap import Counts, Mask, count_pixels, jaccard, total

LOW, HIGH = 0.05, 0.95


@dataclass(frozen=True)
class SampleScores:
    """Scores of the samples of one image against its mask.

    Attributes:
        jaccard: Mean Jaccard index of single samples.
        diversity: Mean 1 - Jaccard over all ordered pairs of samples, each with itself included.
        energy_distance: Generalised energy distance, 2 E[d(S, Y)] - E[d(S, S')] with d = 1 - Jaccard and one
            true mask Y (Székely & Rizzo 2013; Kohl et al. 2018, eq. 3, with the same pairs).
        area_low: The 5 % quantile of the samples' areas in pixels, the 0.05 (N + 1)-th smallest: a further
            draw is below it with that probability. Under 19 samples give their smallest area (16: 5.9 %).
        area_high: The 95 % quantile, likewise.
        area: The true area in pixels.
        counts: Pixel counts of each sample against the mask.
    """

    jaccard: float
    diversity: float
    energy_distance: float
    area_low: float
    area_high: float
    area: int
    counts: tuple[Counts, ...]

    @property
    def covered(self) -> bool:
        """Whether the true area is within the samples' 5 to 95 % range."""
        return self.area_low <= self.area <= self.area_high


def score_samples(samples: npt.NDArray[np.bool_], truth: Mask) -> SampleScores:
    """Score the samples of one image against its ground truth.

    Args:
        samples: NxHxW bool, N at least 1.
        truth: Ground truth, HxW bool.

    Returns:
        Scores of the samples as a distribution of masks.

    Raises:
        TypeError: A mask is not bool.
        ValueError: Samples and ground truth differ in shape, or have no pixels.
    """
    flat = samples.reshape(len(samples), -1).astype(np.float64)
    areas = flat.sum(axis=1)
    overlap = flat @ flat.T
    union = areas[:, None] + areas[None] - overlap
    alike = np.divide(overlap, union, out=np.ones_like(overlap), where=union > 0)
    counts = tuple(count_pixels(sample, truth) for sample in samples)
    single = float(np.mean([jaccard(one) for one in counts]))
    diversity = float(1 - alike.mean())
    low, high = np.quantile(areas, [LOW, HIGH], method="weibull")
    return SampleScores(
        single, diversity, 2 * (1 - single) - diversity, float(low), float(high), int(truth.sum()), counts
    )


@dataclass(frozen=True)
class SampleSummary:
    """`SampleScores` over images.

    Attributes:
        samples: Samples of each image.
        jaccard_pooled: Jaccard index of single samples over all pixels, mean over the sample number.
        jaccard: Mean over images and samples.
        diversity: Mean over images.
        energy_distance: Mean over images.
        area_coverage: Share of images whose true area is within the samples' 5 to 95 % range.
        area_width: Median width of that range as a share of the true area.
    """

    samples: int
    jaccard_pooled: float
    jaccard: float
    diversity: float
    energy_distance: float
    area_coverage: float
    area_width: float


def summarise_samples(scores: Sequence[SampleScores]) -> SampleSummary:
    """Summarise the samples of images, at least one and each with the same number of samples."""
    number = len(scores[0].counts)
    pooled = [jaccard(total([one.counts[sample] for one in scores])) for sample in range(number)]
    widths = [(one.area_high - one.area_low) / max(one.area, 1) for one in scores]
    return SampleSummary(
        number,
        float(np.mean(pooled)),
        float(np.mean([one.jaccard for one in scores])),
        float(np.mean([one.diversity for one in scores])),
        float(np.mean([one.energy_distance for one in scores])),
        float(np.mean([one.covered for one in scores])),
        float(np.median(widths)),
    )
