import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab

from mlffm_segdiff.data.image_quality import (
    ImageQuality,
    QualityLimits,
    image_quality,
    quality_limits,
    unlike_training,
)

Pixels = npt.NDArray[np.uint8]
SKIN = (214, 170, 150)


def random_image(seed: int, noise: float = 12, blur: float = 0.0) -> Pixels:
    values = np.random.default_rng(seed).normal(0, noise, (48, 48, 1)) + np.array(SKIN) + seed % 7
    return gaussian_filter(values, (blur, blur, 0)).clip(0, 255).astype(np.uint8)


def test_a_uniform_image_has_its_colour_and_no_sharpness() -> None:
    found = image_quality(np.full((16, 16, 3), SKIN, np.uint8))
    lightness, red_green, blue_yellow = rgb2lab(np.array(SKIN) / 255)
    assert found == ImageQuality(
        pytest.approx(0, abs=1e-20),
        pytest.approx(lightness),
        pytest.approx(red_green),
        pytest.approx(blue_yellow),
    )


def test_the_sharpness_of_a_checkerboard_by_hand() -> None:
    board = (np.indices((16, 16)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    # L* is 0 and 100. Away from the frame the Laplacian is +-400; on it, mirrored, +-300, in corners +-200.
    squares = (14 * 14 * 400**2 + 4 * 14 * 300**2 + 4 * 200**2) / 256
    assert image_quality(board).sharpness == pytest.approx(squares, rel=1e-3)


def test_a_corner_of_another_colour_moves_no_median() -> None:
    image = np.full((20, 20, 3), SKIN, np.uint8)
    flat = image_quality(image)
    image[:8, :8] = 0
    assert image_quality(image).lightness == flat.lightness


def test_limits_are_quantiles_of_the_images() -> None:
    limits = quality_limits(random_image(seed) for seed in range(50))
    values = [image_quality(random_image(seed)).sharpness for seed in range(50)]
    assert limits.sharpness == pytest.approx(tuple(np.quantile(values, [0.005, 0.995])))


def test_values_outside_the_limits_have_their_sign() -> None:
    limits = quality_limits(random_image(seed) for seed in range(50))
    inside = {"sharpness": 0, "lightness": 0, "red_green": 0, "blue_yellow": 0}
    assert unlike_training(image_quality(random_image(10)), limits) == inside
    blurred = unlike_training(image_quality(random_image(10, blur=3)), limits)
    assert blurred == inside | {"sharpness": -1}
    dark = unlike_training(image_quality((random_image(10) // 4).astype(np.uint8)), limits)
    assert dark["lightness"] == -1
    blue = unlike_training(image_quality(random_image(10)[..., ::-1]), limits)
    assert blue["blue_yellow"] == -1


def test_limits_belong_to_the_range() -> None:
    limits = QualityLimits((1, 2), (1, 2), (1, 2), (1, 2))
    found = unlike_training(ImageQuality(1, 2, 0.5, 2.5), limits)
    assert list(found.values()) == [0, 0, -1, 1]
