"""What `predict` needs of a model: images in, arrays out, whichever library computes; needs no torch."""

from collections.abc import Callable, Sequence
from typing import Protocol

from mlffm_segdiff.config.schema import Precision, SamplingConfig
from mlffm_segdiff.data.image_rows import Pixels
from mlffm_segdiff.segmenters.agreement import AgreementPredictor
from mlffm_segdiff.segmenters.calibration import Quality
from mlffm_segdiff.segmenters.network_output import NetworkOutput
from mlffm_segdiff.segmenters.outliers import OutlierDetector

View = Callable[[int], Pixels | None]
"""Returns an image by its number, HxWx3 uint8 RGB, or None for no second look at it."""


class PreparedModel(Protocol):
    """A model that segments images, as `inference.model.Model` does by torch."""

    @property
    def size(self) -> int:
        """Side of its input in pixels."""

    @property
    def sampling(self) -> SamplingConfig:
        """How masks are made."""

    @property
    def device(self) -> object:
        """Device that the network runs on, or the name of the runtime; `str` describes it."""

    @property
    def quality(self) -> Quality | None:
        """Calibration of the weights; None without one."""

    @property
    def outliers(self) -> OutlierDetector | None:
        """Detector of images unlike the training images; None without one."""

    @property
    def agreement(self) -> AgreementPredictor | None:
        """Predictor of how well people agree on an outline; None without one."""

    @property
    def precision(self) -> Precision:
        """Number format that the network computes in."""

    @property
    def identity(self) -> str:
        """Digest of all that the masks depend on besides the sampling; empty if it is unknown."""

    @property
    def threads(self) -> int:
        """Number of CPU threads that it computes with."""

    def segment(self, network_inputs: Sequence[Pixels], view: View) -> list[NetworkOutput]:
        """Segment a batch of images; a result depends on its own image only.

        Args:
            network_inputs: B images of SxSx3 uint8 RGB.
            view: For a second look; it is called only for the images that get one.
        """
