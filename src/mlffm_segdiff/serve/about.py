"""Metadata of the server for its clients."""

from importlib.metadata import version

from pydantic import BaseModel

from mlffm_segdiff.config.extra import DISTRIBUTION
from mlffm_segdiff.config.schema import ANY_STYLE
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.reading.case_image import find_images
from mlffm_segdiff.serve.engine import Engine
from mlffm_segdiff.serve.options import SERVED_LIMITS
from mlffm_segdiff.serve.responses import SamplingSettings, sampling_settings


class About(BaseModel):
    """Server metadata: version, weights, default sampling, limits, sample images.

    Attributes:
        version: Version of the package.
        weights: Name of the weights.
        size: Side of the network's input in pixels.
        sampling: Default sampling settings.
        styles: Annotation styles to choose from; none if the model has only one.
        most_bytes: Largest body of a request, in bytes.
        most_pixels: Largest number of pixels of an image.
        most_evaluations: Largest number of network evaluations per image: samples times steps, or 1 without
            samples (2 with a second look); times 4 with mirror images, times 2 with a box.
        most_steps: Largest number of sampling steps.
        least_samples: Smallest number of samples that the model accepts.
        most_samples: Largest number of samples that the model accepts.
        sample_images: Files in samples/.
    """

    version: str
    weights: str
    size: int
    sampling: SamplingSettings
    styles: list[str]
    most_bytes: int
    most_pixels: int
    most_evaluations: int
    most_steps: int
    least_samples: int
    most_samples: int
    sample_images: list[str]


def about(engine: Engine, weights: str) -> About:
    """Return the metadata of a server, given the name of its weights."""
    model = engine.model
    styles = model.segmenter.styles
    return About(
        version=version(DISTRIBUTION),
        weights=weights,
        size=model.size,
        sampling=sampling_settings(model.sampling),
        styles=[ANY_STYLE, *styles] if styles else [],
        most_bytes=engine.limits.body_bytes,
        most_pixels=engine.limits.pixels,
        most_evaluations=engine.limits.evaluations,
        most_steps=SERVED_LIMITS["steps"],
        least_samples=0 if engine.allows({"samples": 0}) else 1,
        most_samples=SERVED_LIMITS["samples"] if engine.allows({"samples": 2}) else 0,
        sample_images=[path.name for path in find_images(samples_folder()).images],
    )
