"""What a client may want to know of the server."""

from pydantic import BaseModel

from mlffm_segdiff import __version__
from mlffm_segdiff.data.datasets.image_folder import IMAGE_EXTENSIONS
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.reading import find_images
from mlffm_segdiff.segmenters.base import ANY_STYLE
from mlffm_segdiff.serve.answers import Drawn, drawn
from mlffm_segdiff.serve.engine import Engine
from mlffm_segdiff.serve.options import MOST_SAMPLES, MOST_STEPS


class About(BaseModel):
    """What the server runs and accepts.

    size: pixels a side that the network sees. sampling: the default. styles: annotation styles to choose
    from, none where the model has only one. most_bytes: of a request. least_samples, most_samples: what the
    model accepts. endings: of picture files.
    """

    version: str
    weights: str
    size: int
    sampling: Drawn
    styles: list[str]
    most_bytes: int
    most_steps: int
    least_samples: int
    most_samples: int
    endings: list[str]
    sample_pictures: list[str]


def about(engine: Engine, weights: str) -> About:
    """Return what a server says of itself. sample_pictures: files below samples/."""
    model = engine.model
    styles = model.segmenter.styles
    return About(
        version=__version__,
        weights=weights,
        size=model.size,
        sampling=drawn(model.sampling),
        styles=[ANY_STYLE, *styles] if styles else [],
        most_bytes=engine.limits.body_bytes,
        most_steps=MOST_STEPS,
        least_samples=0 if engine.allows({"samples": 0}) else 1,
        most_samples=MOST_SAMPLES if engine.allows({"samples": 2}) else 0,
        endings=sorted({*IMAGE_EXTENSIONS, ".dcm"}),
        sample_pictures=[path.name for path in find_images(samples_folder()).images],
    )
