from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.cache import open_cache
from mlffm_segdiff.data.case import Case, Entry
from mlffm_segdiff.inference.model import Answer, Model, answer_pictures, load_model, shrink
from mlffm_segdiff.inference.prediction import predict_source
from mlffm_segdiff.segmenters.base import Sampling

Photo = Callable[..., npt.NDArray[np.uint8]]


def test_the_weights_own_sampling_holds_until_a_value_is_chosen(tiny_weights: Path) -> None:
    assert load_model(tiny_weights).sampling == Sampling(samples=3, steps=2)
    chosen = load_model(str(tiny_weights), steps=7, sampler="ddpm", seed=5, fusion="staple")
    assert chosen.sampling == Sampling(samples=3, steps=7, seed=5, sampler="ddpm", fusion="staple")
    assert (chosen.size, chosen.segmenter.training) == (32, False)


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=str(tmp_path)):
        load_model(tmp_path)


def test_a_picture_reaches_the_network_as_the_cache_holds_it(
    tmp_path: Path, photo: Photo, save: Callable[..., Path]
) -> None:
    image = photo(1, 47, 90)
    mask = save(tmp_path / "mask.png", image[..., 0] // 128 * 255)
    case = Case("a", Entry(save(tmp_path / "a.png", image)), Entry(mask), "a")
    picture = shrink(image, 32)
    np.testing.assert_array_equal(picture.small, open_cache([case], 32, tmp_path / "cache").images[0])
    assert (picture.height, picture.width) == (47, 90)


def test_an_answer_depends_on_its_own_picture_only(tiny_weights: Path, photo: Photo) -> None:
    model = load_model(tiny_weights)
    pictures = [shrink(photo(seed), model.size) for seed in range(5)]
    together = answer_pictures(model, pictures)
    for picture, answer in zip(pictures, together, strict=True):
        (alone,) = answer_pictures(model, [picture])
        assert answer.picture is picture
        np.testing.assert_allclose(answer.probability, alone.probability, atol=1e-5)
        np.testing.assert_allclose(answer.spread, alone.spread, atol=1e-5)
    backwards = answer_pictures(model, pictures[::-1])
    for one, other in zip(together, reversed(backwards), strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)


def test_an_answer_has_its_own_samples(tiny_weights: Path, photo: Photo) -> None:
    model = load_model(tiny_weights)
    pictures = [shrink(photo(seed), model.size) for seed in range(2)]
    for answer in answer_pictures(model, pictures):
        assert answer.samples is not None
        assert answer.samples.shape == (3, 32, 32)
        np.testing.assert_allclose(answer.samples.mean(0), answer.probability, atol=1e-6)
        np.testing.assert_allclose(answer.samples.std(0), answer.spread, atol=1e-6)


def test_a_network_that_draws_nothing_has_no_samples(red_model: Callable[..., Model], photo: Photo) -> None:
    (answer,) = answer_pictures(red_model(), [shrink(photo(0), 8)])
    assert answer.samples is None


def test_no_pictures_have_no_answers(tiny_weights: Path) -> None:
    assert answer_pictures(load_model(tiny_weights), []) == []


def test_a_second_look_gives_a_finer_map_of_what_was_found(
    red_model: Callable[..., Model],
) -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[30:36, 40:52] = 255, 0, 0
    once, again = red_model(10, 0), red_model(10, 0)
    again = replace(again, sampling=Sampling(second_look=True))
    empty = np.zeros_like(image)
    first, second, nothing = (
        answer_pictures(model, [shrink(one, 10)])[0]
        for model, one in ((once, image), (again, image), (again, empty))
    )
    assert (len(first.probability), len(nothing.probability)) == (10, 10)
    assert second.probability.shape == second.spread.shape == (40, 40)
    assert not second.spread.any()

    def wrong(answer: Answer) -> int:
        return int((predict_source(answer, 0.5).mask != (image[..., 0] > 0)).sum())

    assert wrong(second) < wrong(first)


def test_what_is_held_of_a_large_image_is_small() -> None:
    picture = shrink(np.zeros((3000, 4000, 3), np.uint8), 32)
    assert picture.view is not None
    assert picture.view.shape == (384, 512, 3)
    assert picture.view.base is None
