import math

import pytest
import torch

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.segmenters.image_features import MIN_DEVIATION, pool_features
from mlffm_segdiff.segmenters.pretrained import load_pretrained


def test_means_and_log_deviations_by_hand() -> None:
    level = torch.tensor([[[[1.0, 3.0], [1.0, 3.0]], [[5.0, 5.0], [5.0, 5.0]]]])  # stride 4 of 8 pixels
    style, fine = torch.zeros(1, 6), torch.ones(1, 1, 4, 4)
    found = pool_features([fine, level, style], 8)
    assert found is not None
    logs = [math.log(1 + MIN_DEVIATION), math.log(MIN_DEVIATION)]
    assert found[0].tolist() == pytest.approx([2.0, 5.0, *logs], abs=1e-6)


def test_no_map_of_a_known_stride_gives_none() -> None:
    assert pool_features([torch.ones(1, 2, 8, 8)], 8) is None


def test_images_that_are_not_square_have_the_features_of_the_same_levels() -> None:
    segmenter = load_pretrained("default").segmenter
    tile = torch.rand(1, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 128, 256)
    wide = segmenter.segment(tile * 2 - 1, SamplingConfig()).features
    assert wide is not None
    assert wide.shape == (1, 2 * (64 + 128 + 256))


def test_features_are_those_of_the_image_for_any_sampling() -> None:
    segmenter = load_pretrained("default").segmenter
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = segmenter.segment(images, SamplingConfig()).features
    assert expected is not None
    assert expected.shape == (2, 2 * (64 + 128 + 256))
    sampled = segmenter.segment(images[1:], SamplingConfig(samples=2, steps=1, mirror=True)).features
    torch.testing.assert_close(sampled, expected[1:], rtol=1e-3, atol=1e-4)
