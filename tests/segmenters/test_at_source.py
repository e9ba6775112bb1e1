import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import map_coordinates

from mlffm_segdiff.data.dataset import PairDataset
from mlffm_segdiff.segmenters.at_source import map_at, network_images

SIZE = 16


def test_images_reach_the_network_in_its_range() -> None:
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    images[0, 0, 0] = (0, 255, 51)
    found = network_images(images)
    assert (found.shape, found.dtype) == ((2, 3, 4, 4), torch.float32)
    assert found[0, :, 0, 0].tolist() == pytest.approx([-1.0, 1.0, -0.6])
    assert found[1, 2, 3, 1].item() == pytest.approx(images[1, 3, 1, 2] / 127.5 - 1)


def test_training_and_inference_give_the_network_the_same_image() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    trained_on = PairDataset(images, np.zeros((2, SIZE, SIZE), np.uint8), ["a", "b"], None, seed=0)
    for image, pair in zip(network_images(images), (trained_on[0], trained_on[1]), strict=True):
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
