from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from mlffm_segdiff.benchmark import peers
from mlffm_segdiff.benchmark.peers import (
    DERMOSEGDIFF,
    choose_memory_format,
    measure_denoising,
    measure_segmentation,
    published_dermosegdiff,
    swin_unetr_24,
)
from mlffm_segdiff.benchmark.subject import Subject, load_subject
from mlffm_segdiff.benchmark.timing import Figure, Timing
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.models.baselines.dermosegdiff import DermoSegDiff
from mlffm_segdiff.models.baselines.weight_standardised import WeightStandardisedConv2d
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter

CPU = torch.device("cpu")


@pytest.fixture
def small_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make DermoSegDiff small."""
    monkeypatch.setattr(peers, "DERMOSEGDIFF", (8, 8, (1, 2), (1, 2)))


def test_dermosegdiff_is_the_published_one() -> None:
    with torch.device("meta"):
        network = DermoSegDiff(*DERMOSEGDIFF)
    assert sum(p.numel() for p in network.parameters()) == 321_181_377


@pytest.mark.usefixtures("small_peer")
def test_dermosegdiff_is_folded_and_computes_the_same() -> None:
    folded = published_dermosegdiff(torch.float32, CPU)
    torch.manual_seed(1)
    image, mask, t = torch.randn(2, 3, 16, 16), torch.randn(2, 1, 16, 16), torch.tensor([3, 90])
    assert not any(isinstance(module, WeightStandardisedConv2d) for module in folded.modules())
    assert not folded.training
    torch.manual_seed(0)
    standardised = published_again()
    torch.testing.assert_close(folded(image, mask, t), standardised(image, mask, t))


def published_again() -> DermoSegDiff:
    """The same with the standardisation in it; the fixture of all tests has set the seed to 0 before."""
    return DermoSegDiff(*peers.DERMOSEGDIFF).eval()


def test_swin_unetr_has_the_feature_size_that_is_compared_with() -> None:
    network = swin_unetr_24(torch.float32, CPU)
    assert sum(p.numel() for p in network.parameters()) == 6_302_875
    assert not network.training
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)


@pytest.mark.parametrize("faster", [torch.contiguous_format, torch.channels_last])
def test_a_peer_runs_in_its_faster_format(faster: torch.memory_format) -> None:
    network, now = nn.Conv2d(4, 4, 3), 0.0

    def work() -> None:
        nonlocal now
        now += 1.0 if network.weight.is_contiguous(memory_format=faster) else 2.0

    choose_memory_format(network, work, lambda: now)
    assert network.weight.is_contiguous(memory_format=faster)
    others = {torch.contiguous_format, torch.channels_last} - {faster}
    assert not network.weight.is_contiguous(memory_format=others.pop())


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
        assert sampling == SamplingConfig()
        spend(2 * len(image))

    class Peer(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> None:
            spend(3)

    monkeypatch.setattr(DiffusionSegmenter, "segment", segment)
    monkeypatch.setattr(peers, "swin_unetr_24", lambda dtype, device: Peer())
    object.__setattr__(subject, "clock", lambda: now)
    figures = [result.figure for result in measure_segmentation(subject).results]
    assert [figure.value for figure in figures if figure] == pytest.approx([2 / 3, 32 / 3])


def in_seconds(monkeypatch: pytest.MonkeyPatch, subject: Subject) -> list[object]:
    """A step of theirs takes 6 s a row, one of ours 2 s, a segmentation 3 s; returns the samples."""
    now, asked = 0.0, []

    def spend(seconds: float) -> None:
        nonlocal now
        now += seconds

    def segment(self: Any, image: Any, sampling: SamplingConfig) -> None:
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
    assert set(asked) == {(1, SamplingConfig(samples=5, steps=4))}


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
