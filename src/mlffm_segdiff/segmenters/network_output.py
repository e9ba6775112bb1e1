"""The network's output for an image as arrays, and its maps at the image's own size; needs no torch."""

import math
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
        box: Left, top, right and bottom edge of a box in pixels of the image, outside of which the
            probability is 0; None for no box.
    """

    probability: Map
    spread: Map
    samples: Map | None = None
    features: Map | None = None
    box: tuple[float, float, float, float] | None = None

    def probability_at(self, height: int, width: int) -> Map:
        """Return the probability at the image's size, HxW float32 in [0, 1]; see `map_at`."""
        found = map_at(self.probability, height, width)
        if self.box is None:
            return found
        left, top, right, bottom = (math.floor(edge + 0.5) for edge in self.box)
        within = np.zeros_like(found)
        within[top:bottom, left:right] = found[top:bottom, left:right]
        return within

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
