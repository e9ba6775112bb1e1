"""What is known of the worth of some weights' masks: quality.json, beside the weights."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters.base import Sampling

QUALITY = "quality.json"


class Quality(BaseModel):
    """From certainty to the Dice to expect, the limits of the training pictures, and what both were made of.

    weights: SHA-256 of the weights' file, "" where they are none of a file. sampler, fusion, steps, samples,
    second_look: how the masks were drawn. cases: how many validation cases there were, of the data sets in
    sources. training_pictures: how many were looked at for the limits. split: digest of the split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    weights: str = ""
    sampler: str
    fusion: str
    steps: int
    samples: int
    second_look: bool = False
    sources: tuple[str, ...]
    cases: int
    training_pictures: int
    split: str
    calibration: Calibration
    limits: QualityLimits

    def suits(self, sampling: Sampling) -> bool:
        """Return whether masks made so are of the kind that it was made of.

        That is the posterior mean, with or without a second look, or samples by the same sampler and fusion,
        however many.
        """
        if not (self.samples and sampling.samples):
            return (self.samples, self.second_look) == (sampling.samples, sampling.second_look)
        return (self.sampler, self.fusion) == (sampling.sampler, sampling.fusion)

    def tied_to(self, weights: Path | None) -> "Quality":
        """Return the same of the weights in this file, or of none."""
        return self.model_copy(update={"weights": weights_digest(weights) if weights else ""})


def write_quality(quality: Quality, folder: Path) -> Path:
    """Write quality.json into the folder and return its path. Raises UserError where it cannot be written."""
    path = folder / QUALITY
    with atomic_write(path) as temporary:
        temporary.write_text(quality.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return path


def read_quality(path: Path, weights: Path | None = None) -> Quality | None:
    """Return what the file says; None where it is absent, or was made of other weights than this file.

    Raises UserError where it is broken.
    """
    if not path.is_file():
        return None
    try:
        found = Quality.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read ({reason}); remove it, or calibrate again") from None
    return found if weights is None or found.weights == weights_digest(weights) else None


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
