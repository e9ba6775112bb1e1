"""Accuracy over the number of denoising steps."""

from collections.abc import Sequence
from itertools import combinations

from mlffm_segdiff.benchmark.goals import GOALS, STEP_COUNTS, Findings, Result
from mlffm_segdiff.benchmark.subject import Subject, Validation
from mlffm_segdiff.benchmark.timing import figure
from mlffm_segdiff.build.sampling import chosen_sampling
from mlffm_segdiff.evaluation.model import segment_cases
from mlffm_segdiff.metrics.overlap import count_pixels, jaccard, total
from mlffm_segdiff.segmenters.at_source import THRESHOLD

NO_SOURCE = "not measured: needs --source NAME=PATH"


def measure_accuracy(subject: Subject) -> Findings:
    """Score the validation cases with each of STEP_COUNTS."""
    goal = GOALS["steps"]
    if subject.validation is None:
        return Findings((Result(goal, None, NO_SOURCE),))
    scores = [_pooled_jaccard(subject, subject.validation, steps) for steps in STEP_COUNTS]
    names = [f"{steps} {'step' if steps == 1 else 'steps'}" for steps in STEP_COUNTS]
    found = Result(goal, figure([worst_loss(scores)]), f"{len(subject.validation.cases)} cases")
    return Findings((found,), facts={"pooled Jaccard": dict(zip(names, scores, strict=True))})


def worst_loss(scores: Sequence[float]) -> float:
    """Return the most that a score loses to one before it; below 0 where each gains. Two scores or more."""
    return max(earlier - later for earlier, later in combinations(scores, 2))


def _pooled_jaccard(subject: Subject, validation: Validation, steps: int) -> float:
    sampling = chosen_sampling(subject.recipe, steps=steps, samples=1, sampler="ddim")
    segmented = segment_cases(
        subject.segmenter,
        validation.pairs,
        validation.cases,
        sampling,
        subject.recipe.train.batch_size,
        subject.model.device,
    )
    return jaccard(total([count_pixels(one.probability >= THRESHOLD, one.truth) for one in segmented]))
