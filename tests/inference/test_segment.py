from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mlffm_segdiff.build.pretrained import load_pretrained
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.files import predict_files
from mlffm_segdiff.inference.measures.case import mean_spread
from mlffm_segdiff.inference.model import load_model
from mlffm_segdiff.inference.outputs.output import Output
from mlffm_segdiff.inference.segment import segment

Photo = Callable[..., npt.NDArray[np.uint8]]


def test_arrays_give_masks_probabilities_and_spreads_of_their_own_sizes(
    tiny_weights: Path, photo: Photo
) -> None:
    images = [photo(0, 40, 56), photo(1, 90, 33), photo(2, 1, 1)]
    predictions = segment(images, tiny_weights, keep_specks=True)
    for image, found in zip(images, predictions, strict=True):
        shape = image.shape[:2]
        assert found.mask.shape == found.probability.shape == found.spread.shape == shape
        assert (found.mask.dtype, found.probability.dtype, found.spread.dtype) == (
            bool,
            np.float32,
            np.float32,
        )
        assert 0 <= found.probability.min() <= found.probability.max() <= 1
        assert 0 < found.spread.max() <= 0.5
        np.testing.assert_array_equal(found.mask, found.probability >= 0.5)


def test_files_give_what_the_verb_writes(
    tmp_path: Path, tiny_weights: Path, photo: Photo, save: Callable[..., Path]
) -> None:
    paths = [save(tmp_path / f"p{seed}.png", photo(seed, 30 + seed, 50)) for seed in range(3)]
    out = Output(tmp_path / "out", frozenset({"probability"}))
    model = load_model(tiny_weights, steps=3, samples=2, sampler="ddpm", seed=4)
    rows = list(predict_files(paths, model, out, 0.4, batch_size=2))
    predictions = segment([str(path) for path in paths], tiny_weights, 3, 2, "ddpm", 4, 0.4, batch_size=2)
    for path, row, found in zip(paths, rows, predictions, strict=True):
        mask, probability = (
            np.asarray(Image.open(folder / path.name)) for folder in (out.masks, out.probabilities)
        )
        np.testing.assert_array_equal(mask > 0, found.mask)
        np.testing.assert_array_equal(probability, np.rint(found.probability * 65535))
        assert row.measures is not None
        assert row.measures.area == found.mask.sum()
        assert row.measures.mean_spread == pytest.approx(mean_spread(found))


def test_an_array_is_segmented_the_same_wherever_it_stands(tiny_weights: Path, photo: Photo) -> None:
    images = [photo(seed) for seed in range(5)]
    pretrained = load_pretrained(tiny_weights)
    whole = segment(images, pretrained)
    backwards = segment(np.stack(images[::-1]), pretrained, batch_size=2)
    for one, other in zip(whole, reversed(backwards), strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)
    (seeded,) = segment(images[:1], pretrained, seed=9)
    assert np.abs(seeded.probability - whole[0].probability).max() > 1e-3


def test_one_sample_has_no_spread(tiny_weights: Path, photo: Photo) -> None:
    (found,) = segment([photo(0)], tiny_weights, samples=1)
    assert not found.spread.any()


def test_no_images_give_no_predictions(tiny_weights: Path) -> None:
    assert segment([], tiny_weights) == []


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((8, 8), "uint8"), ((8, 8, 4), "uint8"), ((8, 8, 3), "float32"), ((0, 8, 3), "uint8")],
)
def test_an_array_that_is_no_picture_is_named(
    tiny_weights: Path, photo: Photo, shape: tuple[int, ...], dtype: str
) -> None:
    with pytest.raises(UserError, match=r"images\[1\] is an array .* give RGB"):
        segment([photo(0), np.zeros(shape, dtype)], tiny_weights)


def test_bad_arguments_are_told(tmp_path: Path, tiny_weights: Path, photo: Photo) -> None:
    with pytest.raises(UserError, match="give a list of images"):
        segment("lesion.jpg", tiny_weights)
    with pytest.raises(UserError, match=r"absent\.jpg cannot be read"):
        segment([tmp_path / "absent.jpg"], tiny_weights)
    with pytest.raises(UserError, match="threshold"):
        segment([photo(0)], tiny_weights, threshold=0)
    with pytest.raises(UserError, match="batch size"):
        segment([photo(0)], tiny_weights, batch_size=0)
    with pytest.raises(UserError, match=r"sampling\.steps"):
        segment([photo(0)], tiny_weights, steps=0)
