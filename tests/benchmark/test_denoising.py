from dataclasses import replace
from typing import Any

import pytest

from mlffm_segdiff.benchmark.denoising import measure_denoising
from mlffm_segdiff.benchmark.subject import Subject, load_subject
from mlffm_segdiff.benchmark.timing import Figure
from mlffm_segdiff.models.baselines.dermosegdiff import DermoSegDiff
from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter


def in_seconds(monkeypatch: pytest.MonkeyPatch, subject: Subject) -> list[object]:
    """A step of theirs takes 6 s a row, one of ours 2 s, a segmentation 3 s; returns what was asked of it."""
    now, asked = 0.0, []

    def spend(seconds: float) -> None:
        nonlocal now
        now += seconds

    def segment(self: Any, image: Any, sampling: Sampling) -> None:
        spend(3)
        asked.append((len(image), sampling))

    monkeypatch.setattr(DermoSegDiff, "denoise", lambda self, mask, t, features: spend(6 * len(mask)))
    monkeypatch.setattr(DiffusionSegmenter, "segment", segment)
    monkeypatch.setattr(
        type(subject.segmenter.network), "denoise", lambda self, mask, t, features: spend(2 * len(mask))
    )
    object.__setattr__(subject, "clock", lambda: now)
    return asked


@pytest.mark.usefixtures("small_peer")
def test_a_step_and_the_published_ensemble(monkeypatch: pytest.MonkeyPatch, subject: Subject) -> None:
    asked = in_seconds(monkeypatch, subject)
    figures = {result.goal.name: result.figure for result in measure_denoising(subject).results}
    assert figures == {"denoise-step": Figure(3, 3, 3), "ensemble": Figure(*[250 * 5 * 6 / 3] * 3)}
    assert set(asked) == {(1, Sampling(samples=5, steps=4))}


@pytest.mark.usefixtures("small_peer")
@pytest.mark.parametrize("self_conditioning", [False, True])
def test_real_networks_run_with_few_turns(
    self_conditioning: bool, tiny_weights: Any, subject: Subject
) -> None:
    change = f"diffusion.self_conditioning={self_conditioning}"
    weights = tiny_weights("isic2018", "model.size=tiny", change)
    loaded = load_subject(str(weights), "float32", repeats=5, images=1)
    found = measure_denoising(replace(loaded, clock=subject.clock))
    assert [len(timing.seconds) for timing in found.timings.values()] == [3, 3, 3, 3]
    assert all(value > 0 for value in found.facts["arithmetic"].values())
    assert len(found.facts["arithmetic"]) == 2
