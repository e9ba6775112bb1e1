from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mlffm_segdiff.benchmark.subject import Subject, load_subject
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.segmenters.base import Sampling

Weights = Callable[..., Path]


def test_the_goals_sampling_holds_whatever_the_recipe_says(tiny_weights: Weights) -> None:
    weights = tiny_weights(
        "isic2018", "model.size=tiny", "sampling={steps: 7, samples: 2, sampler: dpm, seed: 5}"
    )
    assert load_subject(str(weights), "float32", 1, 1).model.sampling == Sampling(samples=1, steps=4, seed=5)


def test_bf16_is_of_the_network_alone(subject: Subject) -> None:
    single, half = (load_subject(subject.weights, precision, 1, 1) for precision in ("float32", "bf16"))
    image = single.random_images(2)
    assert {p.dtype for p in single.segmenter.network.parameters()} == {torch.float32} == {single.dtype}
    assert {p.dtype for p in half.segmenter.network.parameters()} == {torch.bfloat16} == {half.dtype}
    one, other = (
        found.segmenter.segment(image, ["a", "b"], found.model.sampling).probability
        for found in (single, half)
    )
    assert one.dtype == other.dtype == torch.float32
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, rtol=0, atol=0.05)


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
    weights = tiny_weights("unet_isic2018", "model.widths=[4, 8]")
    with pytest.raises(UserError, match="no denoising steps"):
        load_subject(str(weights), "float32", 1, 1)
