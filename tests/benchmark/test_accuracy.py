from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlffm_segdiff.benchmark.accuracy import measure_accuracy, worst_loss
from mlffm_segdiff.benchmark.subject import Subject, Validation
from mlffm_segdiff.data.cache import CachedPairs
from mlffm_segdiff.data.case import Case, Entry
from mlffm_segdiff.data.synthetic import synthetic_pairs
from mlffm_segdiff.segmenters.at_source import network_images
from mlffm_segdiff.segmenters.base import Sampling


@pytest.mark.parametrize(
    ("scores", "worst"),
    [
        ([0.8, 0.79, 0.81, 0.785], 0.025),
        ([0.7, 0.75, 0.76], -0.01),
        ([0.8, 0.8], 0.0),
        ([0.9, 0.5, 0.6], 0.4),
    ],
)
def test_the_worst_loss_by_hand(scores: list[float], worst: float) -> None:
    assert worst_loss(scores) == pytest.approx(worst)


def test_without_data_the_row_says_so(subject: Subject) -> None:
    (result,) = measure_accuracy(subject).results
    assert (result.figure, result.note) == (None, "not measured: needs --source NAME=PATH")


def test_pooled_jaccard_of_each_number_of_steps(subject: Subject) -> None:
    ids, images, masks = synthetic_pairs(3, 64, seed=0)
    cases = [Case(key, Entry(Path(key)), None, key) for key in ids]
    found = measure_accuracy(replace(subject, validation=Validation(CachedPairs(ids, images, masks), cases)))
    scores = []
    for steps in (1, 2, 4, 10, 50):
        sampling = Sampling(steps, 1, subject.model.sampling.seed, "ddim")
        probability = subject.segmenter.segment(network_images(images), ids, sampling).probability
        lesion, truth = probability[:, 0].numpy() >= 0.5, masks == 1
        scores.append(np.sum(lesion & truth) / np.sum(lesion | truth))
    assert list(found.facts["pooled Jaccard"].values()) == pytest.approx(scores)
    assert list(found.facts["pooled Jaccard"])[:2] == ["1 step", "2 steps"]
    (result,) = found.results
    assert result.figure is not None
    assert result.figure.value == pytest.approx(worst_loss(scores))
    assert result.note == "3 cases"
