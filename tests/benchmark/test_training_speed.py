import copy
from typing import Any

import pytest
import torch
from torch.optim import AdamW

from mlffm_segdiff.benchmark import training_speed
from mlffm_segdiff.benchmark.subject import Subject
from mlffm_segdiff.benchmark.timing import Figure
from mlffm_segdiff.benchmark.training_speed import (
    OURS,
    SWIN,
    TrainingStep,
    contestants,
    measure_training,
    training_batch,
)
from mlffm_segdiff.segmenters.direct import DirectSegmenter

CPU = torch.device("cpu")


def test_a_step_is_loss_clipping_adamw_and_averaging(subject: Subject) -> None:
    """The same by hand, with torch's own parts; the first average is a copy."""
    recipe, batch = subject.recipe, training_batch(4, 64, CPU)
    segmenter = contestants(recipe, CPU)[OURS]
    other = copy.deepcopy(segmenter)
    groups = [
        {"params": [p for p in other.parameters() if p.ndim > 1], "weight_decay": recipe.train.weight_decay},
        {"params": [p for p in other.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, recipe.train.learning_rate, fused=True)
    step, average = TrainingStep(segmenter, recipe, batch, torch.float32), []
    for _ in range(2):
        torch.manual_seed(5)
        step()
        torch.manual_seed(5)
        other.loss(batch).backward()
        torch.nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], recipe.train.clip)
        optimizer.step()
        optimizer.zero_grad()
        average.append([p.detach().clone() for p in other.parameters()])
    for ours, theirs in zip(segmenter.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    decay = 1 - 2 ** (-2 / 3)  # of the second step; the recipe's comes later
    for ours, first, second in zip(step.averaged.parameters(), *average, strict=True):
        torch.testing.assert_close(ours, decay * first + (1 - decay) * second)


def test_bf16_trains_in_mixed_precision(subject: Subject) -> None:
    seen = []
    segmenter = contestants(subject.recipe, CPU)[SWIN]
    segmenter.network.register_forward_hook(lambda module, image, logit: seen.append(logit.dtype))
    batch = training_batch(2, 64, CPU)
    for dtype in (torch.float32, torch.bfloat16):
        TrainingStep(copy.deepcopy(segmenter), subject.recipe, batch, dtype)()
    assert seen == [torch.float32, torch.bfloat16]
    assert {p.dtype for p in segmenter.parameters()} == {torch.float32}


def test_the_batch_is_as_training_has_it() -> None:
    batch = training_batch(3, 64, CPU)
    assert batch.image.shape == (3, 3, 64, 64)
    assert set(batch.mask.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(batch.distance < 0, batch.mask > 0)


def test_all_learn_by_the_recipes_loss(subject: Subject) -> None:
    changed = subject.recipe.loss.model_copy(update={"dice": 0.5, "kervadec": 0.25, "weight": "dermosegdiff"})
    made = contestants(subject.recipe.model_copy(update={"loss": changed}), CPU)
    assert list(made) == [OURS, SWIN]
    for segmenter in made.values():
        loss: Any = getattr(segmenter, "objective", segmenter).mask_loss
        assert (loss.cross_entropy, loss.dice, loss.kervadec) == (1.0, 0.5, 0.25)
        assert type(segmenter.weight).__name__ == "DermoSegDiffWeight"
    assert [isinstance(segmenter, DirectSegmenter) for segmenter in made.values()] == [False, True]


def test_faster_training_is_a_ratio_above_one(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours takes 2 s, SwinUNETR 3 s a step of 16."""
    now = 0.0

    class Step:
        def __init__(self, segmenter: Any, *_: object) -> None:
            self.seconds = {OURS: 2, SWIN: 3}[segmenter]

        def __call__(self) -> None:
            nonlocal now
            now += self.seconds

    monkeypatch.setattr(training_speed, "TrainingStep", Step)
    monkeypatch.setattr(training_speed, "contestants", lambda *_: {name: name for name in (OURS, SWIN)})
    monkeypatch.setattr(training_speed, "choose_memory_format", lambda *_: None)
    object.__setattr__(subject, "clock", lambda: now)
    found = measure_training(subject)
    assert {result.goal.name: result.figure for result in found.results} == {
        "train-swin_unetr": Figure(1.5, 1.5, 1.5)
    }
    assert list(found.facts["training"].values()) == pytest.approx([8, 16 / 3])
