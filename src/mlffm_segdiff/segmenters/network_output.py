"""The network's output for an image as arrays, and its maps at the image's own size; needs no torch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class NetworkOutput:
    """The network's output for one image, at the network's size S, or finer after a second look.

    Attributes:
        probability: SxS float32 in [0, 1], the posterior mean or the fusion of the samples.
        spread: SxS float32, the standard deviation of the samples; 0 for fewer than two.
        samples: NxSxS float32 in [0, 1], the N samples; None if none were drawn.
        features: D float32, of the whole image, see `segmenters.image_features`; None if the network has no
            maps for them.
    """

    probability: Map
    spread: Map
    samples: Map | None = None
    features: Map | None = None

    @property
    def is_finite(self) -> bool:
        """Whether all values are finite; damaged weights give NaN."""
        maps = [self.probability, self.spread] + ([] if self.samples is None else [self.samples])
        return all(bool(np.isfinite(values).all()) for values in maps)


def map_at(values: Map, height: int, width: int) -> Map:
    """Resize a square map: bilinear between pixel centres, antialiased where it shrinks.

    Args:
        values: SxS float32.
        height: New height in pixels.
        width: New width in pixels.

    Returns:
        HxW float32.
    """
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))
