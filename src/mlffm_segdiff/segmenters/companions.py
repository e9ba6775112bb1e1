"""All that is stored next to weights and holds for these only."""

from pathlib import Path
from typing import NamedTuple

from mlffm_segdiff.segmenters.agreement import AGREEMENT, AgreementPredictor
from mlffm_segdiff.segmenters.calibration import QUALITY, Quality
from mlffm_segdiff.segmenters.outliers import OUTLIERS, OutlierDetector

COMPANION_NAMES = (QUALITY.name, OUTLIERS.name, AGREEMENT.name)


class Companions(NamedTuple):
    """Calibration, detector and predictor that belong to weights; None for each that they do not have.

    Attributes:
        quality: Calibration of the certainty.
        outliers: Detector of images unlike the training images.
        agreement: Predictor of how well people agree on an outline.
    """

    quality: Quality | None = None
    outliers: OutlierDetector | None = None
    agreement: AgreementPredictor | None = None

    def write(self, folder: Path, weights: str = "") -> None:
        """Write the files next to weights, bound to the SHA-256 of these; see `CompanionFile.write`."""
        if self.quality is not None:
            QUALITY.write(self.quality, folder, weights)
        if self.outliers is not None:
            OUTLIERS.write(self.outliers, folder, weights)
        if self.agreement is not None:
            AGREEMENT.write(self.agreement, folder, weights)


def read_companions(folder: Path, weights: str | None = None) -> Companions:
    """Read the files next to weights; see `CompanionFile.read`.

    Args:
        folder: Weights folder.
        weights: SHA-256 of the weights that the files should belong to; None accepts any.
    """
    return Companions(
        QUALITY.read(folder, weights), OUTLIERS.read(folder, weights), AGREEMENT.read(folder, weights)
    )
