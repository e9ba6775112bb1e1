from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.files import Pixels
from mlffm_segdiff.inference import model as inference
from mlffm_segdiff.inference.analysis import analyse
from mlffm_segdiff.inference.model import Model, load_model
from mlffm_segdiff.inference.reading.case_image import CaseImage, array_image
from mlffm_segdiff.segmenters.base import BaseSegmenter, Segmentation, segment_batch
from mlffm_segdiff.segmenters.network_output import NetworkOutput

Photo = Callable[..., npt.NDArray[np.uint8]]


def test_the_weights_own_sampling_holds_until_a_value_is_chosen(tiny_weights: Path) -> None:
    assert load_model(tiny_weights).sampling == SamplingConfig(samples=3, steps=2)
    chosen = load_model(
        str(tiny_weights), sampling={"steps": 7, "sampler": "ddpm", "seed": 5, "fusion": "staple"}
    )
    assert chosen.sampling == SamplingConfig(samples=3, steps=7, seed=5, sampler="ddpm", fusion="staple")
    assert (chosen.size, chosen.segmenter.training) == (32, False)


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=str(tmp_path)):
        load_model(tmp_path)


def segmented(model: Model, images: list[CaseImage]) -> list[NetworkOutput]:
    return model.segment([one.network_input for one in images], [one.view for one in images].__getitem__)


def test_a_segmentation_depends_on_its_own_image_only(tiny_weights: Path, photo: Photo) -> None:
    model = load_model(tiny_weights)
    images = [array_image(photo(seed), model.size) for seed in range(5)]
    together = segmented(model, images)
    for image, found in zip(images, together, strict=True):
        (single,) = segmented(model, [image])
        np.testing.assert_allclose(found.probability, single.probability, rtol=0, atol=1e-5)
        np.testing.assert_allclose(found.spread, single.spread, rtol=0, atol=1e-5)
    backwards = segmented(model, images[::-1])
    for one, other in zip(together, reversed(backwards), strict=True):
        np.testing.assert_allclose(one.probability, other.probability, rtol=0, atol=1e-5)


def test_many_samples_are_computed_for_few_images_at_once(
    tiny_weights: Path, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(tiny_weights)
    images = [array_image(photo(seed), model.size) for seed in range(5)]
    expected = segmented(model, images)
    rows: list[int] = []

    def counted(segmenter: BaseSegmenter, some: Pixels, *rest: Any) -> Segmentation:
        rows.append(len(some))
        return segment_batch(segmenter, some, *rest)

    monkeypatch.setattr(inference, "MAX_ROWS", 7)
    monkeypatch.setattr(inference, "segment_batch", counted)
    for one, other in zip(segmented(model, images), expected, strict=True):
        np.testing.assert_allclose(one.probability, other.probability, rtol=0, atol=1e-5)
    assert rows == [2, 2, 1]  # of 3 samples each


def test_a_second_look_is_at_its_own_image_whatever_is_computed_at_once(
    red_model: Callable[..., Model], photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = replace(red_model(samples=0), sampling=SamplingConfig(second_look=True))
    images = [array_image(photo(seed), model.size) for seed in range(3)]
    expected = segmented(model, images)
    monkeypatch.setattr(inference, "MAX_ROWS", 1)
    for one, other in zip(segmented(model, images), expected, strict=True):
        np.testing.assert_allclose(one.probability, other.probability, rtol=0, atol=1e-5)


def test_a_segmentation_has_its_own_samples(tiny_weights: Path, photo: Photo) -> None:
    model = load_model(tiny_weights)
    for found in segmented(model, [array_image(photo(seed), model.size) for seed in range(2)]):
        assert found.samples is not None
        assert found.samples.shape == (3, 32, 32)
        np.testing.assert_allclose(found.samples.mean(0), found.probability, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.samples.std(0), found.spread, rtol=0, atol=1e-6)


def test_a_posterior_mean_has_no_samples(red_model: Callable[..., Model], photo: Photo) -> None:
    (found,) = segmented(red_model(samples=0), [array_image(photo(0), 8)])
    assert found.samples is None


def test_no_images_give_no_segmentations(tiny_weights: Path) -> None:
    assert segmented(load_model(tiny_weights), []) == []


def test_a_second_look_gives_a_finer_map_of_what_was_found(red_model: Callable[..., Model]) -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[30:36, 40:52] = 255, 0, 0
    once = red_model(10, 0)
    again = replace(once, sampling=SamplingConfig(second_look=True))
    case, empty = array_image(image, 10), array_image(np.zeros_like(image), 10)
    (first,), (second,), (nothing,) = (
        segmented(model, [one]) for model, one in ((once, case), (again, case), (again, empty))
    )
    assert first.probability.shape == nothing.probability.shape == (10, 10)
    assert second.probability.shape == second.spread.shape == (40, 40)
    assert not second.spread.any()

    def wrong(found: NetworkOutput) -> int:
        return int((analyse(case, found, once).mask != (image[..., 0] > 0)).sum())

    assert wrong(second) < wrong(first)
