import numpy as np
import pytest
import torch

from mlffm_segdiff.data.image_tensor import image_tensor, normalise_image


def test_images_reach_the_network_in_its_range() -> None:
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    images[0, 0, 0] = (0, 255, 51)
    found = normalise_image(image_tensor(images))
    assert (found.shape, found.dtype) == ((2, 3, 4, 4), torch.float32)
    assert found.is_contiguous()
    assert found[0, :, 0, 0].tolist() == pytest.approx([-1.0, 1.0, -0.6])
    assert found[1, 2, 3, 1].item() == pytest.approx(images[1, 3, 1, 2] / 127.5 - 1)
    assert torch.equal(normalise_image(image_tensor(images[1])), found[1])


def test_values_that_augmentation_moved_outside_are_clipped() -> None:
    assert normalise_image(torch.tensor([-0.1, 0.0, 0.5, 1.2])).tolist() == [-1.0, -1.0, 0.0, 1.0]
