"""The prediction of human agreement of trained weights: agreement.json, stored next to them."""

import logging
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import write_text
from mlffm_segdiff.metrics.human_agreement import TRAITS, AgreementModel, Map, probability_traits

AGREEMENT = "agreement.json"
LARGEST = 1e6
"""No number of a fit is larger, and no scale smaller than its inverse."""
LOG = logging.getLogger(__name__)


class HumanAgreement(BaseModel):
    """How well people are expected to agree on an outline.

    Attributes:
        dice: Mean Dice between the outlines of two people, in [0, 1].
        error: Mean absolute error of such a prediction, by cross-validation.
        cases: Number of images with outlines by several people that it was learned from.
    """

    model_config = ConfigDict(frozen=True)

    dice: float
    error: float
    cases: int


class AgreementPredictor(BaseModel):
    """Predicts human agreement from the posterior mean of these weights.

    Attributes:
        weights: SHA-256 of the weights file; empty for weights that are not in a file.
        source: Data set of the cases.
        model: From a probability map to the agreement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    weights: str = ""
    source: str
    model: AgreementModel

    @model_validator(mode="after")
    def numbers_are_possible(self) -> "AgreementPredictor":
        """Refuse numbers that no fit writes."""
        model = self.model
        lists = (model.centre, model.scale, model.slopes)
        if any(len(values) != TRAITS for values in lists) or min(model.scale) < 1 / LARGEST:
            raise ValueError(f"the model needs a centre, a slope and a scale above 0 of {TRAITS} traits")
        if not all(abs(value) <= LARGEST for value in (*sum(lists, ()), model.mean, model.error)):
            raise ValueError(f"numbers of the model must be between -{LARGEST:g} and {LARGEST:g}")
        return self

    def predict(self, probability: Map) -> HumanAgreement:
        """Predict how well people agree on the outline of a lesion from its map, SxS in [0, 1]."""
        dice = self.model.expected(probability_traits(probability))
        return HumanAgreement(dice=dice, error=self.model.error, cases=self.model.cases)

    def bind_to(self, weights: str) -> "AgreementPredictor":
        """Return a copy for the weights with this SHA-256."""
        return self.model_copy(update={"weights": weights})


def write_agreement(predictor: AgreementPredictor, folder: Path) -> Path:
    """Write agreement.json into the folder and return its path. Raises UserError if it cannot be written."""
    path = folder / AGREEMENT
    write_text(path, predictor.model_dump_json(indent=2) + "\n")
    return path


def read_agreement(path: Path, weights: str | None = None) -> AgreementPredictor | None:
    """Read a predictor.

    Args:
        path: An agreement.json file.
        weights: SHA-256 of the weights it should belong to; None accepts any.

    Returns:
        The predictor; None if the file does not exist, or, with a logged warning, if it belongs to other
        weights.

    Raises:
        UserError: The file cannot be read.
    """
    if not path.is_file():
        return None
    try:
        found = AgreementPredictor.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise UserError(f"{path} cannot be read ({reason}); remove it, or fit it again") from None
    if weights is not None and found.weights != weights:
        LOG.warning(
            f"{path} was made for other weights (their SHA-256 differs), so no human agreement is expected; "
            "download both again, or fit it again"
        )
        return None
    return found
