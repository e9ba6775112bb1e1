"""What a client may want to know of the server."""

from pydantic import BaseModel

from mlffm_segdiff import __version__
from mlffm_segdiff.data.folder import PICTURES
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.reading import find_images
from mlffm_segdiff.serve.answers import Drawn, drawn
from mlffm_segdiff.serve.engine import Limits
from mlffm_segdiff.serve.options import MOST_SAMPLES, MOST_STEPS


class About(BaseModel):
    """size: pixels a side that the network sees. sampling: what holds unasked. endings: of picture files."""

    version: str
    weights: str
    size: int
    sampling: Drawn
    most_bytes: int
    most_steps: int
    most_samples: int
    endings: list[str]
    sample_pictures: list[str]


def about(model: Model, weights: str, limits: Limits) -> About:
    """Return what is told of a server. sample_pictures: files below samples/."""
    return About(
        version=__version__,
        weights=weights,
        size=model.size,
        sampling=drawn(model.sampling),
        most_bytes=limits.body_bytes,
        most_steps=MOST_STEPS,
        most_samples=MOST_SAMPLES,
        endings=sorted({*PICTURES, ".dcm"}),
        sample_pictures=[path.name for path in find_images(samples_folder()).images],
    )
