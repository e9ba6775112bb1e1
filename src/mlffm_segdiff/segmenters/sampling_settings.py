"""How masks are made, as segmenters read it; needs no torch."""

from dataclasses import dataclass

from mlffm_segdiff.config.schema import FusionName, SamplerName

ANY_STYLE = "any"
"""The annotation style of no particular data set."""


@dataclass(frozen=True)
class Sampling:
    """How masks are made; direct segmenters read ``mirror`` only.

    Attributes:
        samples: 0 for the posterior mean in one step; otherwise the number of masks to sample.
        steps: Sampling steps of each sample.
        seed: Seed of the noise.
        sampler: How samples are drawn.
        mirror: Average over the image and its three mirror images.
        fusion: How the samples become one probability map.
        style: The annotation style, one of the model's, or ``any``.
        widening: Factor of the noisy mask's influence on the coarse estimate (docs/METHOD.md).
        second_look: Segment the found lesion again, enlarged, and merge; see `segmenters.second_look`. A
            segmenter only sees the network's input and ignores it.
    """

    samples: int = 0
    steps: int = 4
    seed: int = 0
    sampler: SamplerName = "ddim"
    mirror: bool = False
    fusion: FusionName = "mean"
    style: str = ANY_STYLE
    widening: float = 1.0
    second_look: bool = False
