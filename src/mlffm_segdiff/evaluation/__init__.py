"""A model, or masks of any program, against ground truth; the calibration of a model."""

from mlffm_segdiff.evaluation.calibrating import calibrate
from mlffm_segdiff.evaluation.pipeline import (
    Evaluation,
    evaluate,
    evaluate_masks,
    write_evaluation,
)

__all__ = ["Evaluation", "calibrate", "evaluate", "evaluate_masks", "write_evaluation"]
