import numpy as np
import pytest
from PIL import Image, ImageOps

from mlffm_segdiff.data import image_rows
from mlffm_segdiff.data.files import rgb_rows

PIXELS = np.random.default_rng(0).integers(0, 256, (130, 170, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def small_stripes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of several stripes, of which the last is shorter."""
    monkeypatch.setattr(image_rows, "STRIPE_PIXELS", 17 * 170 + 5)


@pytest.mark.parametrize("size", [16, 64, 170, 200])
def test_stripes_are_resized_as_the_whole(size: int) -> None:
    whole = Image.fromarray(PIXELS)
    expected = np.asarray(whole.resize((size, size), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(rgb_rows(whole, "x").resized(size), expected)


@pytest.mark.parametrize("side", [7, 20, 60, 169, 170, 500])
def test_stripes_are_shrunk_as_the_whole(side: int) -> None:
    whole = Image.fromarray(PIXELS)
    scale = min(1, side / 170)
    size = max(1, round(170 * scale)), max(1, round(130 * scale))
    expected = np.asarray(whole.resize(size, Image.Resampling.BOX, reducing_gap=2))
    np.testing.assert_array_equal(rgb_rows(whole, "x").shrunk(side), expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "1", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright_in_stripes(mode: str, orientation: int) -> None:
    deep = Image.fromarray(PIXELS[..., 0] * np.uint16(257))
    image = deep if mode == "I;16" else Image.fromarray(PIXELS).convert(mode)
    expected = rgb_rows(image, "x").pixels()
    image.getexif()[0x0112] = orientation
    turned = ImageOps.exif_transpose(
        Image.fromarray(expected) if orientation == 1 else _marked(expected, orientation)
    )
    found = rgb_rows(image, "x")
    np.testing.assert_array_equal(found.pixels(), np.asarray(turned))
    np.testing.assert_array_equal(np.asarray(found.whole()), np.asarray(turned))


def _marked(pixels: image_rows.Pixels, orientation: int) -> Image.Image:
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    return image


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_the_thinnest_images_are_read(size: tuple[int, int]) -> None:
    rows = rgb_rows(Image.new("RGB", size, "red"), "x")
    assert rows.resized(8).shape == (8, 8, 3)
    assert max(rows.shrunk(512).shape[:2]) <= 512
    assert rows.pixels().shape == (size[1], size[0], 3)
