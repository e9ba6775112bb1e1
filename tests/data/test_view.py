import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.data.view import VIEW_SIDE, view_of


def test_a_view_is_the_image_or_its_area_means() -> None:
    small = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    np.testing.assert_array_equal(view_of(Image.fromarray(small)), small)
    large = np.zeros((600, 4 * VIEW_SIDE, 3), np.uint8)
    large[:, : 2 * VIEW_SIDE] = 200
    view = view_of(Image.fromarray(large))
    assert view.shape == (150, VIEW_SIDE, 3)
    assert view.mean() == pytest.approx(100)
