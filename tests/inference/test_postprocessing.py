import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from scipy.ndimage import binary_fill_holes

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.inference.analysis import Processing, analyse
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.postprocessing import PostProcessing, post_process
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.segmenters.network_output import NetworkOutput

Mask = npt.NDArray[np.bool_]

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=14))
STEPS = st.builds(PostProcessing, st.booleans(), st.booleans(), st.booleans())
NOTHING = PostProcessing(keep_specks=True)


def drawn(*rows: str) -> Mask:
    """A mask from text, # on the lesion."""
    return np.array([[place == "#" for place in row] for row in rows])


RING_AND_TWO = drawn(
    "####......",
    "#..#......",
    "#..#.##...",
    "####......",
    "....#....#",
)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (NOTHING, RING_AND_TWO),
        (PostProcessing(), RING_AND_TWO),
        # the pixel that touches the ring in a corner belongs to it
        (
            PostProcessing(largest=True),
            drawn("####......", "#..#......", "#..#......", "####......", "....#....."),
        ),
        (
            PostProcessing(fill_holes=True),
            drawn("####......", "####......", "####.##...", "####......", "....#....#"),
        ),
        (
            PostProcessing(largest=True, fill_holes=True),
            drawn("####......", "####......", "####......", "####......", "....#....."),
        ),
    ],
)  # fmt: skip
def test_a_mask_is_processed_as_by_hand(steps: PostProcessing, expected: Mask) -> None:
    before = RING_AND_TWO.copy()
    np.testing.assert_array_equal(post_process(RING_AND_TWO, steps), expected)
    np.testing.assert_array_equal(before, RING_AND_TWO)


@pytest.mark.parametrize(("lesion", "kept"), [(1997, True), (1998, True), (1999, False), (3000, False)])
def test_a_speck_is_smaller_than_a_thousandth_of_all_foreground(lesion: int, kept: bool) -> None:
    """A row of `lesion` pixels, and 2 that meet in a corner: of 2,000 they stay, of 2,001 they do not."""
    mask = np.zeros((4, 4000), bool)
    mask[0, :lesion] = True
    mask[2, 3000] = mask[3, 3001] = True
    expected = mask.copy()
    expected[2:] &= kept
    np.testing.assert_array_equal(post_process(mask, PostProcessing()), expected)
    np.testing.assert_array_equal(post_process(mask, NOTHING), mask)


def test_of_equal_components_the_first_from_the_top_is_the_largest() -> None:
    mask = drawn("......##", "##......", "......##")
    found = post_process(mask, PostProcessing(largest=True))
    np.testing.assert_array_equal(found, drawn("......##", "........", "........"))


def test_what_is_open_to_the_border_is_not_a_hole() -> None:
    mask = drawn("#.#", "#.#", "###")
    np.testing.assert_array_equal(post_process(mask, PostProcessing(fill_holes=True)), mask)


def test_more_components_than_a_byte_counts() -> None:
    mask = np.zeros((700, 64), bool)
    mask[:40, :] = mask[600:640, :] = True
    mask[100:550:2, ::2] = True  # 7,200 single pixels and two rectangles of 2,560 each
    expected = np.zeros_like(mask)
    expected[:40], expected[600:640] = True, True
    np.testing.assert_array_equal(post_process(mask, PostProcessing()), expected)


@given(MASKS, STEPS)
def test_processing_twice_changes_nothing(mask: Mask, steps: PostProcessing) -> None:
    once = post_process(mask, steps)
    np.testing.assert_array_equal(post_process(once, steps), once)


@given(MASKS, STEPS)
def test_pixels_are_added_only_to_fill_holes(mask: Mask, steps: PostProcessing) -> None:
    found = post_process(mask, steps)
    assert found.shape == mask.shape
    assert found.dtype == bool
    filled = binary_fill_holes(mask) if steps.fill_holes else mask
    assert not (found & ~filled).any()
    if steps.keep_specks and not steps.largest:
        np.testing.assert_array_equal(found, filled)


@given(MASKS, STEPS)
def test_a_result_is_processed_as_its_whole_mask_is(mask: Mask, steps: PostProcessing) -> None:
    side = max(mask.shape)
    square = np.zeros((side, side), np.float32)
    square[: mask.shape[0], : mask.shape[1]] = mask
    image = CaseImage(side, side, np.zeros((1, 1, 3), np.uint8))
    model = Model(None, 1, SamplingConfig(), torch.device("cpu"))
    found = analyse(image, NetworkOutput(square, 0 * square), model, Processing(0.5, steps))
    np.testing.assert_array_equal(found.mask, post_process(square > 0.5, steps))
    np.testing.assert_array_equal(found.probability, square)


def test_every_output_is_made_of_the_processed_mask(
    tmp_path: Path, save: Callable[..., Path], red_model: Callable[..., Model]
) -> None:
    """A square of 1,600 pixels with a hole of 4, and a speck of one; the network sees the image unresized."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[10:50, 10:50, 0] = 255
    image[20:22, 20:22] = 0
    image[60, 60, 0] = 255
    path = save(tmp_path / "a.png", image)
    areas = {"": 1596, "keep_specks": 1597, "largest": 1596, "fill_holes": 1600}
    for option, area in areas.items():
        post = PostProcessing(**{option: True} if option else {})
        out = Output(tmp_path / f"out{option}", ("coco", "contours", "nnunet"))
        (row,) = predict_files([path], red_model(size=64), out, Processing(post=post))
        assert row.measures is not None
        assert (row.measures.area, row.measures.components) == (area, 2 if option == "keep_specks" else 1)
        assert f'"area": {area},' in (out.folder / "coco.json").read_text()
        assert sum_of_areas(out.folder / "contours" / "a.geojson") == area
        for mask in (out.masks / "a.png", out.folder / "nnunet" / "labelsTs" / "a.png"):
            assert np.count_nonzero(np.asarray(Image.open(mask))) == area


def sum_of_areas(path: Path) -> int:
    return sum(feature["properties"]["area"] for feature in json.loads(path.read_text())["features"])
