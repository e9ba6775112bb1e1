from typing import Any

import pytest
import torch

from mlffm_segdiff.benchmark import peers, segmentation
from mlffm_segdiff.benchmark.peers import swin_unetr_24
from mlffm_segdiff.benchmark.segmentation import measure_segmentation
from mlffm_segdiff.benchmark.subject import Subject
from mlffm_segdiff.benchmark.timing import Figure, Timing
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter

CONTESTANTS = [
    "segmentation, batch 1",
    "SwinUNETR-24, batch 1",
    "segmentation, batch 16",
    "SwinUNETR-24, batch 16",
]


def test_both_batches_are_timed_and_counted(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "SWIN_FEATURES", 12)
    found = measure_segmentation(subject)
    assert {result.goal.name: result.figure for result in found.results} == {
        "segmentation-1": Figure(1, 1, 1),
        "segmentation-16": Figure(1, 1, 1),
    }
    assert found.timings == {name: Timing((1.0, 1.0)) for name in CONTESTANTS}
    peer = swin_unetr_24(torch.float32, torch.device("cpu"))
    ours = sum(p.numel() for p in build_segmenter(subject.recipe).parameters())
    assert found.facts["parameters"] == {
        "ours": ours,
        "SwinUNETR-24": sum(p.numel() for p in peer.parameters()),
    }
    flops = found.facts["arithmetic"]
    for one, sixteen in (CONTESTANTS[::2], CONTESTANTS[1::2]):
        assert flops[f"{sixteen}, GFLOP"] == pytest.approx(16 * flops[f"{one}, GFLOP"])


def test_whole_segmentations_race_whole_forward_passes(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network takes 3 s, the segmentation 2 s an image."""
    now = 0.0

    def spend(seconds: float) -> None:
        nonlocal now
        now += seconds

    def segment(self: Any, image: torch.Tensor, sampling: object) -> None:
        assert sampling == Sampling()
        spend(2 * len(image))

    class Peer(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> None:
            spend(3)

    monkeypatch.setattr(DiffusionSegmenter, "segment", segment)
    monkeypatch.setattr(segmentation, "swin_unetr_24", lambda dtype, device: Peer())
    object.__setattr__(subject, "clock", lambda: now)
    figures = [result.figure for result in measure_segmentation(subject).results]
    assert [figure.value for figure in figures if figure] == pytest.approx([2 / 3, 32 / 3])
