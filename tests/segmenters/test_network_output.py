from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import map_coordinates

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.dataset import PairDataset
from mlffm_segdiff.data.image_tensor import image_tensor, normalise_image
from mlffm_segdiff.segmenters.base import BaseSegmenter, segment_batch
from mlffm_segdiff.segmenters.network_output import map_at

Make = Callable[..., BaseSegmenter]

SIZE = 16


def test_a_batch_is_segmented_as_by_the_segmenter_itself(trained: Make) -> None:
    segmenter, sampling = trained(), SamplingConfig(samples=2, steps=2)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    expected = segmenter.segment(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1, sampling)
    found = segment_batch(segmenter, images, sampling, torch.device("cpu"))
    torch.testing.assert_close(found.probability, expected.probability, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.spread, expected.spread, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.samples, expected.samples, rtol=0, atol=1e-5)
    assert segment_batch(segmenter, images, SamplingConfig(), torch.device("cpu")).samples is None
    with pytest.raises(ValueError, match=r"in training mode; call its eval\(\) first"):
        segment_batch(segmenter.train(), images, sampling, torch.device("cpu"))


def test_training_and_inference_give_the_network_the_same_image() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    trained_on = PairDataset(images, np.zeros((2, SIZE, SIZE), np.uint8), ["a", "b"], None, seed=0)
    for image, pair in zip(
        normalise_image(image_tensor(images)), (trained_on[0], trained_on[1]), strict=True
    ):
        assert torch.equal(image, pair.image)


@pytest.mark.parametrize(("height", "width"), [(40, 64), (16, 16), (16, 33)])
def test_probability_is_bilinear_between_pixel_centres(height: int, width: int) -> None:
    probability = np.random.default_rng(0).random((SIZE, SIZE), dtype=np.float32)
    y, x = ((np.arange(length) + 0.5) * SIZE / length - 0.5 for length in (height, width))
    expected = map_coordinates(probability, np.meshgrid(y, x, indexing="ij"), order=1, mode="nearest")
    np.testing.assert_allclose(map_at(probability, height, width), expected, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(9, 8), (5, 16), (4, 40)])
def test_probability_is_antialiased_where_it_shrinks(height: int, width: int) -> None:
    probability = np.random.default_rng(0).random((SIZE, SIZE), dtype=np.float32)
    expected = Image.fromarray(probability).resize((width, height), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(map_at(probability, height, width), expected, atol=1e-5)
