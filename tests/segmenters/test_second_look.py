import weakref

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import expit, logit
from stand_ins import RedIsLesion
from torch import Tensor

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.cache import resize_image
from mlffm_segdiff.segmenters import second_look
from mlffm_segdiff.segmenters.base import Segmentation
from mlffm_segdiff.segmenters.network_output import Map, map_at
from mlffm_segdiff.segmenters.second_look import Crop, crop_image, lesion_crop, look_again, merge_maps

SIZE = 20
CPU = torch.device("cpu")


class Counting(RedIsLesion):
    """Counts the images of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.eval()

    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        self.batches.append(len(image))
        return super().segment(image, sampling)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings to calculate by hand: a crop is one and a half times as large as its lesion."""
    monkeypatch.setattr(second_look, "MARGIN", 0.25)
    monkeypatch.setattr(second_look, "LARGEST_CROP_SIDE", 0.8)
    monkeypatch.setattr(second_look, "SECOND_WEIGHT", 0.5)
    monkeypatch.setattr(second_look, "RAMP", 0.125)


def found(rows: slice, columns: slice) -> Map:
    probability = np.full((SIZE, SIZE), 0.25, np.float32)
    probability[rows, columns] = 0.75
    return probability


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (slice(8, 12), slice(6, 14), Crop(0.2, 0.2, 0.6)),  # 4 x 8 of 20: 12 of 20 about (10, 10)
        (slice(0, 4), slice(6, 14), Crop(0.0, 0.2, 0.6)),  # about row 2, from row -4: moved down
        (slice(16, 20), slice(12, 20), Crop(0.4, 0.4, 0.6)),  # moved up and to the left
        (slice(5, 6), slice(9, 11), Crop(0.2, 0.425, 0.15)),  # 1 x 2: 3 of 20 about (5.5, 10)
    ],
    ids=["inside", "top", "corner", "small"],
)
def test_a_crop_is_the_box_with_its_margin_moved_into_the_image(
    rows: slice, columns: slice, expected: Crop
) -> None:
    crop = lesion_crop(found(rows, columns))
    assert crop is not None
    assert (crop.top, crop.left, crop.side) == pytest.approx((expected.top, expected.left, expected.side))


def test_no_crop_where_nothing_was_found_or_nearly_all_of_the_image_is_in_it() -> None:
    assert lesion_crop(found(slice(0), slice(0))) is None
    assert lesion_crop(found(slice(2, 12), slice(5, 7))) is not None  # 10 of 20: a side of 0.75
    assert lesion_crop(found(slice(2, 13), slice(5, 7))) is None  # 11 of 20: 0.825


def test_specks_do_not_widen_the_crop_and_second_lesions_do() -> None:
    probability = found(slice(2, 7), slice(2, 8))
    crop = lesion_crop(probability)
    probability[18, 18:20] = 1  # 2 of 30 pixels
    assert lesion_crop(probability) == crop
    probability[8, 2:8] = 1
    wider = lesion_crop(probability)
    assert crop is not None
    assert wider is not None
    assert (crop.side, wider.side) == pytest.approx((6 / 20 * 1.5, 7 / 20 * 1.5))


def test_a_crop_of_whole_pixels_holds_those_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 80, 3), dtype=np.uint8)
    crop = Crop(0.25, 0.5, 0.5)
    np.testing.assert_array_equal(crop_image(image[:, :40], crop, 20), image[10:30, 20:40])
    squashed = crop_image(image, crop, 20)  # only at the crop's border, the filter reaches beyond it
    np.testing.assert_array_equal(squashed[:, 1:], resize_image(image[10:30, 40:80], 20)[:, 1:])


def test_outside_the_crop_the_first_map_stays() -> None:
    first, second = np.random.default_rng(0).random((2, SIZE, SIZE), np.float32)
    merged = merge_maps(first, second, Crop(0.25, 0.5, 0.25))
    assert merged.shape == (4 * SIZE, 4 * SIZE)
    outside = np.ones_like(merged, bool)
    outside[SIZE : 2 * SIZE, 2 * SIZE : 3 * SIZE] = False
    np.testing.assert_allclose(merged[outside], map_at(first, 4 * SIZE, 4 * SIZE)[outside], atol=1e-6)
    assert not np.isclose(merged, map_at(first, 4 * SIZE, 4 * SIZE)).all()


def test_in_the_crop_the_logits_are_averaged_and_its_border_is_soft() -> None:
    """A crop of 40 x 40 of the 80 x 80 pixels, whose band has 5 pixels: weights 0.1, 0.3, ..., 0.9 of 0.5."""
    first, second = np.full((40, 40), 0.3, np.float32), np.full((40, 40), 0.9, np.float32)
    merged = merge_maps(first, second, Crop(0.25, 0.25, 0.5))
    assert merged.shape == (80, 80)
    weights = np.array([0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.5, 0.5])
    expected = expit((1 - weights) * logit(0.3) + weights * logit(0.9))
    np.testing.assert_allclose(merged[40, 19:27], expected, rtol=1e-5)
    np.testing.assert_allclose(merged[19:27, 40], expected, rtol=1e-5)
    np.testing.assert_allclose(merged[60:52:-1, 40], expected, rtol=1e-5)
    assert merged[20, 20] == pytest.approx(expected[1])


def test_the_images_own_border_is_not_soft() -> None:
    first, second = np.full((40, 40), 0.3, np.float32), np.full((40, 40), 0.9, np.float32)
    merged = merge_maps(first, second, Crop(0.0, 0.5, 0.5))
    assert merged[0, 79] == pytest.approx(expit((logit(0.3) + logit(0.9)) / 2), rel=1e-5)
    assert merged[0, 39] == pytest.approx(0.3)


def test_neither_map_has_a_veto() -> None:
    sure, doubt = np.zeros((SIZE, SIZE), np.float32), np.ones((SIZE, SIZE), np.float32)
    assert merge_maps(sure, doubt, Crop(0, 0, 0.5))[5, 5] == pytest.approx(0.5, abs=1e-4)


def test_a_small_crop_does_not_enlarge_the_map_without_limit() -> None:
    first = np.zeros((SIZE, SIZE), np.float32)
    assert merge_maps(first, first, Crop(0.5, 0.5, 0.05)).shape == (4 * SIZE, 4 * SIZE)


def disc(height: int, width: int, radius: float) -> npt.NDArray[np.bool_]:
    y, x = np.ogrid[:height, :width]
    return np.asarray((y - height / 2) ** 2 + (x - width / 2) ** 2 <= radius**2)


def test_a_segmenter_that_answers_the_truth_gives_a_finer_truth() -> None:
    truth = disc(240, 320, 40)
    image = np.repeat(truth[..., None] * np.uint8(255), 3, axis=2)
    segmenter = Counting()
    first = (resize_image(image, SIZE)[None, ..., 0] / 255).astype(np.float32)
    (merged,) = look_again(segmenter, first, lambda _: image, SamplingConfig(second_look=True), CPU)

    def wrong(probability: Map) -> int:
        return int(((map_at(probability, 240, 320) >= 0.5) != truth).sum())

    assert wrong(merged) < 0.5 * wrong(first[0])
    assert segmenter.batches == [1]


def test_what_is_seen_the_same_twice_stays_the_same() -> None:
    """A lesion without fine detail: an image that is its own map."""
    smooth = map_at(found(slice(8, 12), slice(8, 12)), 80, 80)
    image = np.repeat(np.rint(smooth * 255).astype(np.uint8)[..., None], 3, axis=2)
    first = (resize_image(image, 80)[None, ..., 0] / 255).astype(np.float32)
    (merged,) = look_again(Counting(), first, lambda _: image, SamplingConfig(), CPU)
    np.testing.assert_allclose(merged, map_at(first[0], *merged.shape), atol=0.01)


def test_images_are_held_one_at_a_time_and_only_those_looked_at_again() -> None:
    asked: list[int] = []
    alive: list[weakref.ref[npt.NDArray[np.uint8]]] = []

    def view(number: int) -> npt.NDArray[np.uint8] | None:
        assert all(image() is None for image in alive)
        asked.append(number)
        if number == 3:
            return None
        image = np.zeros((30, 40, 3), np.uint8)
        alive.append(weakref.ref(image))
        return image

    nothing, small = found(slice(0), slice(0)), found(slice(8, 12), slice(8, 12))
    whole = found(slice(0, 20), slice(0, 20))
    first = np.stack([small, nothing, small, small, whole])
    segmenter = Counting()
    merged = look_again(segmenter, first, view, SamplingConfig(), CPU)
    assert (asked, segmenter.batches) == ([0, 2, 3], [2])
    assert [len(one) for one in merged] == [4 * SIZE, SIZE, 4 * SIZE, SIZE, SIZE]
    for number in (1, 3, 4):
        np.testing.assert_array_equal(merged[number], first[number])


def test_a_batch_without_lesions_is_not_segmented_again() -> None:
    segmenter = Counting()
    nothing = found(slice(0), slice(0))[None]
    (merged,) = look_again(segmenter, nothing, lambda _: None, SamplingConfig(), CPU)
    np.testing.assert_array_equal(merged, nothing[0])
    assert not segmenter.batches
