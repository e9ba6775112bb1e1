"""The prediction of human agreement of trained weights: agreement.json, stored next to them."""

from pydantic import BaseModel, ConfigDict, model_validator

from mlffm_segdiff.metrics.human_agreement import TRAITS, AgreementModel, Map, probability_traits
from mlffm_segdiff.segmenters.companion_file import JsonCompanion

LARGEST = 1e6
"""No number of a fit is larger, and no scale smaller than its inverse."""


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
        source: Data set of the cases.
        model: Model from the traits of a probability map to the agreement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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


AGREEMENT = JsonCompanion(
    "agreement.json", 1, "no human agreement is expected", "fit it again", AgreementPredictor
)
