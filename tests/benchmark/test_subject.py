from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mlffm_segdiff.benchmark.subject import Subject, load_subject, write_random_weights
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.inference import model
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

Weights = Callable[..., Path]


def test_the_default_segmentation_is_measured_for_any_recipe(tiny_weights: Weights) -> None:
    weights = tiny_weights(
        "isic2018", "model.size=tiny", "sampling={steps: 7, samples: 2, sampler: dpm, seed: 5}"
    )
    assert load_subject(str(weights), "float32", 1, 1).model.sampling == SamplingConfig(seed=5)


def test_only_the_network_is_in_bf16(subject: Subject) -> None:
    single, half = (load_subject(subject.weights, precision, 1, 1) for precision in ("float32", "bf16"))
    image = single.random_images(2)
    assert {p.dtype for p in single.segmenter.network.parameters()} == {torch.float32} == {single.dtype}
    assert {p.dtype for p in half.segmenter.network.parameters()} == {torch.bfloat16} == {half.dtype}
    one, other = (
        found.segmenter.segment(image, found.model.sampling).probability for found in (single, half)
    )
    assert one.dtype == other.dtype == torch.float32
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, rtol=0, atol=0.05)


@pytest.mark.parametrize("faster", ["float32", "bf16"])
def test_auto_is_the_faster_format(faster: str, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "measured_precision", lambda *_: faster)
    found = load_subject(subject.weights, "auto", 1, 1)
    assert (found.precision, found.model.precision) == (faster, faster)
    assert {p.dtype for p in found.segmenter.network.parameters()} == {found.dtype}


def test_random_weights_of_a_recipe(tmp_path: Path) -> None:
    write_random_weights("isic2018", tmp_path)
    found = load_subject(str(tmp_path), "float32", 1, 1)
    assert found.recipe == load_recipe("isic2018")
    assert found.parameters == sum(p.numel() for p in build_segmenter(found.recipe).parameters())
    with pytest.raises(UserError, match="nowhere"):
        write_random_weights("nowhere", tmp_path)


def test_images_are_of_the_networks_size_and_range_and_the_same_each_time(subject: Subject) -> None:
    image = subject.random_images(3)
    assert image.shape == (3, 3, 64, 64)
    assert -1 <= float(image.min()) < -0.9
    assert 0.9 < float(image.max()) <= 1
    assert torch.equal(image, subject.random_images(3))


@pytest.mark.parametrize(("repeats", "few"), [(1, 1), (3, 3), (20, 3)])
def test_what_takes_minutes_has_few_turns(repeats: int, few: int, subject: Subject) -> None:
    assert load_subject(subject.weights, "float32", repeats, 1).few_repeats == few


def test_a_network_that_does_not_sample_is_refused(tiny_weights: Weights) -> None:
    weights = tiny_weights("unet", "model.widths=[4, 8]")
    with pytest.raises(UserError, match="without denoising steps"):
        load_subject(str(weights), "float32", 1, 1)
