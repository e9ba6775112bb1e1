import io

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from mlffm_segdiff.data.files import decode_mask, read_mask
from mlffm_segdiff.data.mask_values import NotAMaskError

MASK = np.array([[True, False, False], [True, True, False]])
ROWS, COLUMNS = np.mgrid[:64, :80]
INNER = (ROWS - 30) ** 2 + (COLUMNS - 40) ** 2 < 12**2
LESION = (ROWS - 30) ** 2 + (COLUMNS - 40) ** 2 < 20**2


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def stored(values: object, kind: str = "PNG") -> bytes:
    return saved(Image.fromarray(np.asarray(values)), kind)


def labels(outside: float, rim: float, inside: float, dtype: type = np.uint8) -> np.ndarray:
    """A lesion of two nested labels."""
    return np.where(INNER, inside, np.where(LESION, rim, outside)).astype(dtype)


@given(
    arrays(np.bool_, (3, 4)), st.sampled_from(["two-level", "0/1", "0/255", "16 bit", "16 bit 0/1", "alpha"])
)
def test_every_way_to_store_a_mask_gives_the_same_mask(mask: np.ndarray, how: str) -> None:
    gray = mask.astype(np.uint8) * 255
    ways = {
        "two-level": mask,
        "0/1": mask.astype(np.uint8),
        "0/255": gray,
        "16 bit": mask.astype(np.uint16) * 65535,
        "16 bit 0/1": mask.astype(np.uint16),
        "alpha": np.stack([gray, gray, gray, 255 - gray], axis=-1),
    }
    if how == "alpha" and mask.all() | ~mask.any():
        ways["alpha"][..., 3] = 255
    assert (decode_mask(stored(ways[how]), "x") == mask).all()


@pytest.mark.parametrize("level", [1, 2, 100, 127, 128, 254, 255])
def test_the_only_value_other_than_zero_is_lesion(level: int) -> None:
    for kind in (np.uint8, np.uint16, np.int32, np.float32):
        found = read_mask(stored(MASK.astype(kind) * kind(level), "TIFF"), "x")
        assert (found.lesion == MASK).all()
        assert (found.levels, found.soft) == (2, False)


def test_a_dark_colour_on_black_is_lesion_in_a_palette_and_in_rgb() -> None:
    indexed = Image.fromarray(MASK.astype(np.uint8)).convert("P")
    indexed.putpalette([0, 0, 0, 128, 0, 0])
    assert (decode_mask(saved(indexed), "x") == MASK).all()
    assert (decode_mask(saved(indexed.convert("RGB")), "x") == MASK).all()


@pytest.mark.parametrize(
    "values",
    [
        labels(1, 2, 2),
        labels(0, 1, 2),
        labels(0, 128, 255),
        labels(255, 128, 0),
        labels(0, 1, 255),
        labels(0, 64, 255),
        labels(0, 100, 200),
        labels(128, 255, 255),
        labels(7, 7, 7),
        labels(128, 128, 128),
        labels(0, 1, 2, np.uint16),
        labels(0, 128, 255, np.uint16),
        labels(0, 32768, 65535, np.uint16),
        labels(0, 1, 2, np.int32),
        labels(-1, 0, 1, np.float32),
        labels(0, np.nan, 1, np.float32),
        labels(0, 1, 4095, np.float32),
    ],
    ids=lambda values: f"{values.dtype} {np.unique(values).tolist()}",
)
def test_other_labels_are_refused_by_name_with_the_fix(values: np.ndarray) -> None:
    with pytest.raises(NotAMaskError, match=r"lesion\.tif has .*; save one class as 0 and 255, or 0 and 1"):
        decode_mask(stored(values, "TIFF"), "lesion.tif")
    with pytest.raises(NotAMaskError):
        decode_mask(stored(values, "TIFF"), "lesion.tif", probability=True)


def test_three_fractions_are_labels_in_ground_truth_and_probabilities_in_a_prediction() -> None:
    values = labels(0, 0.5, 1, np.float32)
    with pytest.raises(NotAMaskError, match="labels of several classes"):
        decode_mask(stored(values, "TIFF"), "x")
    assert (decode_mask(stored(values, "TIFF"), "x", probability=True) == (values >= 0.5)).all()


def test_classes_in_colours_are_refused() -> None:
    indexed = Image.fromarray(labels(0, 1, 2)).convert("P")
    for palette in ([0, 0, 0, 128, 0, 0, 0, 128, 0], [0, 0, 0, 255, 0, 0, 0, 255, 0]):
        indexed.putpalette(palette)
        for image in (indexed, indexed.convert("RGB"), indexed.convert("RGBA")):
            with pytest.raises(NotAMaskError):
                decode_mask(saved(image), "x")


@pytest.mark.parametrize("colour", [0, 255])
def test_a_mask_only_in_the_alpha_channel_is_refused(colour: int) -> None:
    alpha = labels(0, 255, 255)
    for layers in ([np.full_like(alpha, colour)] * 3, [np.full_like(alpha, colour)]):
        with pytest.raises(NotAMaskError, match="only in the alpha channel"):
            decode_mask(stored(np.stack([*layers, alpha], axis=-1)), "x")


@pytest.mark.parametrize("size", [(64, 80), (24, 30), (512, 640)])
@pytest.mark.parametrize("quality", [50, 75, 95])
def test_masks_as_jpeg_are_cut_at_half(size: tuple[int, int], quality: int) -> None:
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    lesion = ((rows / height - 0.5) * 3) ** 2 + ((columns / width - 0.5) * 2.5) ** 2 < 1
    image = Image.fromarray(lesion.astype(np.uint8) * np.uint8(255))
    found = read_mask(saved(image, "JPEG", quality=quality), "x")
    assert found.soft
    assert (found.lesion == lesion).mean() > 0.99


def test_resized_masks_are_cut_at_half() -> None:
    large = Image.fromarray(np.kron(LESION, np.ones((4, 4))).astype(np.uint8) * np.uint8(255))
    for filter_ in (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS):
        found = read_mask(saved(large.resize((120, 96), filter_)), "x")
        assert found.soft
        assert found.lesion.mean() == pytest.approx(LESION.mean(), abs=0.01)


def test_gray_values_of_several_types_are_cut_at_half() -> None:
    edge = np.repeat([0.0, 1.0], [50, 50]).reshape(10, 10)
    edge[5, :5] = 0, 0.25, 0.499, 0.501, 1
    for top, kind in (
        (255, np.uint8),
        (65535, np.uint16),
        (65535, np.int32),
        (1, np.float32),
        (255, np.float32),
    ):
        values = edge * top if kind is np.float32 else np.rint(edge * top)
        assert decode_mask(stored(values.astype(kind), "TIFF"), "x")[5, :5].tolist() == [0, 0, 0, 1, 1]


def test_empty_and_full_masks_are_masks() -> None:
    for level, lesion in ((0, False), (1, True), (255, True)):
        found = read_mask(stored(np.full((8, 9), level, np.uint8)), "x")
        assert (found.lesion == lesion).all()
        assert not found.soft


def test_a_photograph_is_refused_and_a_map_of_probabilities_only_as_a_prediction() -> None:
    ramp = np.hypot(ROWS - 30, COLUMNS - 40)
    soft = np.clip(255 - 6 * ramp, 0, 255).astype(np.uint8)
    for values in (soft, np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)):
        with pytest.raises(NotAMaskError, match="as in a photograph"):
            decode_mask(stored(values), "x")
    assert (decode_mask(stored(soft), "x", probability=True) == (soft >= 128)).all()
    faint = (soft // 3).astype(np.uint8)
    assert not decode_mask(stored(faint), "x", probability=True).any()
    with pytest.raises(NotAMaskError):
        decode_mask(stored(faint), "x")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_a_photograph_in_colour_is_refused_as_a_prediction_too(kind: str) -> None:
    skin = np.array([200, 150, 120]) - np.hypot(ROWS - 30, COLUMNS - 40)[..., None]
    with pytest.raises(NotAMaskError, match="as in a photograph"):
        decode_mask(stored(skin.astype(np.uint8), kind), "x", probability=True)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_grey_map_of_probabilities_may_be_saved_in_colour(kind: str) -> None:
    soft = np.clip(255 - 6 * np.hypot(ROWS - 30, COLUMNS - 40), 0, 255).astype(np.uint8)
    colours = np.repeat(soft[..., None], 3, axis=2)
    found = decode_mask(stored(colours, kind), "x", probability=True)
    assert (found != (soft >= 128)).mean() < 0.01


def test_a_mask_in_one_colour_on_black_is_a_mask_as_a_prediction_too() -> None:
    lesion = np.hypot(ROWS - 30, COLUMNS - 40) < 15
    red = np.where(lesion[..., None], [255, 0, 0], 0).astype(np.uint8)
    assert (decode_mask(stored(red), "x", probability=True) == lesion).all()


@pytest.mark.parametrize(
    ("values", "lesion"),
    [
        ([0, 1 / 3, 2 / 3, 1], [False, False, True, True]),
        ([0, 1 / 3], [False, False]),
        ([0.5, 0.75], [True, True]),
        ([0, 1], [False, True]),
        ([0, 255], [False, True]),
    ],
)
def test_fractions_are_probabilities_however_few_there_are(values: list[float], lesion: list[bool]) -> None:
    pixels = np.float32(np.repeat([values], 8, axis=0).repeat(8, axis=1))
    assert (decode_mask(stored(pixels, "TIFF"), "x", probability=True) == np.repeat(lesion, 8)).all()


@pytest.mark.parametrize("top", [20, 200, 255, 3000, 4095, 30000])
def test_low_probabilities_in_16_bits_are_no_lesion(top: int) -> None:
    values = (top * np.exp(-(((ROWS - 30) / 15.5) ** 2) - ((COLUMNS - 40) / 20) ** 2)).astype(np.uint16)
    assert values.max() == top
    assert not decode_mask(stored(values), "x", probability=True).any()


@pytest.mark.parametrize("white", [255, 4095, 65535])
def test_soft_masks_of_8_and_12_bits_in_files_of_16_are_cut_at_half(white: int) -> None:
    soft = np.clip(2 - np.hypot(ROWS - 30, COLUMNS - 40) / 12, 0, 1)
    values = (white * soft).astype(np.uint16)
    assert (decode_mask(stored(values), "x", probability=True) == (values >= white / 2)).all()


def test_a_palette_mask_counts_by_the_gray_it_shows() -> None:
    indexed = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    indexed.putpalette([255, 255, 255, 0, 0, 0, 200, 200, 200])
    assert decode_mask(saved(indexed), "x")[0].tolist() == [True, False, True]


def test_a_cmyk_mask_is_read() -> None:
    cmyk = Image.fromarray(np.repeat(np.array([[255] * 8, [0] * 8] * 4, np.uint8)[..., None], 3, 2)).convert(
        "CMYK"
    )
    assert (decode_mask(saved(cmyk, "TIFF"), "x") == (np.arange(8) % 2 == 0)[:, None]).all()


@given(arrays(np.uint8, (5, 6)))
def test_values_that_are_read_are_counted_and_cut_at_half(values: np.ndarray) -> None:
    try:
        found = read_mask(stored(values), "x")
    except NotAMaskError:
        assume(False)
    levels = np.unique(values)
    marked = levels.tolist() == [1] or (len(levels) == 2 and levels[0] == 0)
    assert found.levels == len(levels)
    assert (found.lesion == (values > 0 if marked else values >= 128)).all()
