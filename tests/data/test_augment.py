"""Augmentation: geometry against scipy, colour against closed forms, and what must not change."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import get_track_meta
from monai.transforms import Compose
from PIL import Image
from scipy.ndimage import map_coordinates

from mlffm_segdiff.data.augment import (
    RandBlurd,
    RandColourd,
    RandHaird,
    RandWarpd,
    augment_pair,
    bezier,
    colour_matrix,
    draw_strokes,
    random_state,
    shift_colour,
    training_augmentation,
)

SIDE = 48


@pytest.fixture
def blob() -> torch.Tensor:
    """1HW lesion without any symmetry: two overlapping ellipses off the centre."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    first = ((rows - 20) / 12) ** 2 + ((columns - 26) / 7) ** 2 < 1
    second = ((rows - 29) / 5) ** 2 + ((columns - 18) / 9) ** 2 < 1
    return torch.from_numpy(first | second)[None].float()


@pytest.fixture
def photo() -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(3).rand(3, SIDE, SIDE).astype(np.float32))


def as_image(mask: torch.Tensor) -> torch.Tensor:
    return mask.expand(3, -1, -1).clone()


def test_flips_and_turns_move_image_and_mask_alike_through_all_eight_symmetries(blob: torch.Tensor) -> None:
    augmentation = training_augmentation(True, 0, 0, 0, 0, size=SIDE)
    seen = []
    for index in range(64):
        moved = augment_pair(augmentation, {"image": as_image(blob), "mask": blob}, 0, 0, index)
        assert torch.equal(moved["image"], as_image(moved["mask"]))
        seen.append(moved["mask"])
    plane = blob[0]
    for turns in range(4):
        for square in (plane, plane.flip(1)):
            wanted = torch.rot90(square, turns)
            assert sum(torch.equal(mask[0], wanted) for mask in seen) >= 2


@pytest.mark.parametrize("index", range(8))
def test_warp_is_the_drawn_matrix_about_the_centre_mirrored_at_the_border(
    photo: torch.Tensor, blob: torch.Tensor, index: int
) -> None:
    warp = RandWarpd(1.5, SIDE, prob=1.0)
    warped = augment_pair(Compose([warp]), {"image": photo, "mask": blob}, 5, 1, index)
    centre = (SIDE - 1) / 2
    grid = np.stack([*(np.mgrid[:SIDE, :SIDE] - centre), np.ones((SIDE, SIDE))])
    at = np.tensordot(warp.grid.get_transformation_matrix().numpy(), grid, 1)[:2] + centre
    for channel in range(3):
        expected = map_coordinates(photo[channel].numpy(), at, order=1, mode="reflect")
        np.testing.assert_allclose(warped["image"][channel], expected, atol=2e-4)
    expected = map_coordinates(blob[0].numpy(), at, order=0, mode="reflect")
    assert np.mean(warped["mask"][0].numpy() != expected) < 0.002
    assert not torch.equal(warped["mask"], blob)


@pytest.mark.parametrize("index", range(12))
def test_geometry_is_the_same_for_image_and_mask(blob: torch.Tensor, index: int) -> None:
    augmentation = training_augmentation(True, 1, 0, 0, 0, size=SIDE)
    moved = augment_pair(augmentation, {"image": as_image(blob), "mask": blob}, 1, 0, index)
    wrong = (moved["image"][:1] - moved["mask"]).abs()
    assert wrong.max() <= 0.75 + 1e-3
    assert ((moved["image"][:1] > 0.5) != (moved["mask"] > 0.5)).float().mean() < 0.02


@given(st.integers(0, 10_000), st.floats(0, 2), st.floats(0, 2))
def test_ranges_hold_under_any_strength(number: int, affine: float, colour: float) -> None:
    state = np.random.RandomState(number)
    image = torch.from_numpy(state.rand(3, 16, 16).astype(np.float32))
    mask = torch.from_numpy((state.rand(1, 16, 16) > 0.5).astype(np.float32))
    augmentation = training_augmentation(True, affine, colour, 1, 1, size=16)
    result = augment_pair(augmentation, {"image": image, "mask": mask}, number, 0, 0)
    assert result["image"].shape == (3, 16, 16)
    assert result["image"].dtype == result["mask"].dtype == torch.float32
    assert result["image"].min() >= 0
    assert result["image"].max() <= 1
    assert set(result["mask"].unique().tolist()) <= {0.0, 1.0}
    assert type(result["image"]) is type(result["mask"]) is torch.Tensor


@pytest.mark.parametrize("part", [RandColourd(1.0, prob=1.0), RandBlurd(1.0), RandHaird(1.0)])
def test_colour_changes_leave_the_mask_and_their_input_unchanged(
    photo: torch.Tensor, blob: torch.Tensor, part: RandColourd | RandBlurd | RandHaird
) -> None:
    before = photo.clone(), blob.clone()
    result = augment_pair(Compose([part]), {"image": photo, "mask": blob}, 0, 0, 0)
    assert torch.equal(result["mask"], before[1])
    assert torch.equal(photo, before[0])
    assert not torch.equal(result["image"], before[0])


def test_the_same_numbers_give_the_same_image_whatever_was_drawn_before(
    photo: torch.Tensor, blob: torch.Tensor
) -> None:
    augmentation = training_augmentation(True, 1, 1, 1, 1, size=SIDE)
    pair = {"image": photo, "mask": blob}
    first = augment_pair(augmentation, pair, 7, 2, 30)
    for index in range(5):
        augment_pair(augmentation, pair, 7, 2, index)
    again = augment_pair(augmentation, pair, 7, 2, 30)
    fresh = augment_pair(training_augmentation(True, 1, 1, 1, 1, size=SIDE), pair, 7, 2, 30)
    for other in (again, fresh):
        assert torch.equal(first["image"], other["image"])
        assert torch.equal(first["mask"], other["mask"])
    for seed, epoch, index in ((8, 2, 30), (7, 3, 30), (7, 2, 31)):
        assert not torch.equal(first["image"], augment_pair(augmentation, pair, seed, epoch, index)["image"])


def test_strength_zero_changes_nothing(photo: torch.Tensor, blob: torch.Tensor) -> None:
    result = augment_pair(training_augmentation(False, 0, 0, 0, 0), {"image": photo, "mask": blob}, 0, 0, 0)
    assert torch.equal(result["image"], photo)
    assert torch.equal(result["mask"], blob)


def test_the_tracking_of_metadata_is_put_back_even_after_a_failure(photo: torch.Tensor) -> None:
    assert get_track_meta()
    with pytest.raises(RuntimeError):
        augment_pair(training_augmentation(True, 0, 0, 0, 0), {"image": photo}, 0, 0, 0)
    assert get_track_meta()


def test_a_third_of_a_turn_of_hue_swaps_the_channels() -> None:
    matrix = colour_matrix(1, 1, 2 * math.pi / 3, [1, 1, 1])
    np.testing.assert_allclose(matrix @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(matrix @ [0, 1, 0], [0, 0, 1], atol=1e-12)


@given(st.floats(0.5, 1.5), st.floats(-3, 3))
def test_gray_stays_gray_under_saturation_and_hue(saturation: float, hue: float) -> None:
    np.testing.assert_allclose(colour_matrix(1, saturation, hue, [1, 1, 1]) @ np.ones(3), 1, atol=1e-12)


def test_without_saturation_every_pixel_is_its_luma_as_pillow_has_it(photo: torch.Tensor) -> None:
    pixels = (photo.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    image = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    gray = shift_colour(image, colour_matrix(1, 0, 0, [1, 1, 1]), 1) * 255
    expected = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)
    for channel in gray:
        np.testing.assert_allclose(channel, expected, atol=0.51)


def test_brightness_gain_and_contrast() -> None:
    image = torch.tensor([[[0.2, 0.4]], [[0.2, 0.4]], [[0.2, 0.4]]])
    bright = shift_colour(image, colour_matrix(1.5, 1, 0, [1, 1, 2]), 1)
    np.testing.assert_allclose(bright[:, 0], [[0.3, 0.6], [0.3, 0.6], [0.6, 1.0]], atol=1e-6)
    flat = shift_colour(image, colour_matrix(1, 1, 0, [1, 1, 1]), 0)
    np.testing.assert_allclose(flat, 0.3, atol=1e-6)
    double = shift_colour(image, colour_matrix(1, 1, 0, [1, 1, 1]), 2)
    np.testing.assert_allclose(double[0, 0], [0.1, 0.5], atol=1e-6)


def test_blur_keeps_a_flat_image_flat_up_to_the_border() -> None:
    flat = torch.full((3, SIDE, SIDE), 0.6)
    result = augment_pair(Compose([RandBlurd(1.0)]), {"image": flat, "mask": flat[:1]}, 0, 0, 0)
    np.testing.assert_allclose(result["image"], 0.6, atol=1e-6)


def test_blur_spreads_a_point_by_the_drawn_sigma() -> None:
    blur = RandBlurd(1.0)
    point = torch.zeros(3, 129, 129)
    point[:, 64, 64] = 1
    for index in range(5):
        spread = augment_pair(Compose([blur]), {"image": point, "mask": point[:1]}, 0, 0, index)["image"][0]
        offsets = torch.arange(129) - 64
        variance = (spread.sum(dim=0) * offsets**2).sum()
        sigma = blur.sigma * 129
        assert 0.3 <= sigma <= 1.01
        assert spread.sum() == pytest.approx(1, abs=1e-5)
        assert variance == pytest.approx(sigma**2 + 1 / 12, rel=0.1)


@given(st.integers(0, 1000))
def test_bezier_starts_and_ends_on_its_outer_points_and_is_straight_when_they_are(seed: int) -> None:
    controls = np.random.RandomState(seed).rand(2, 3, 2)
    controls[1, 1] = (controls[1, 0] + controls[1, 2]) / 2
    curves = bezier(controls, samples=5)
    np.testing.assert_allclose(curves[:, [0, -1]], controls[:, [0, 2]])
    np.testing.assert_allclose(curves[:, 2], (controls[:, 0] + 2 * controls[:, 1] + controls[:, 2]) / 4)
    np.testing.assert_allclose(curves[1], np.linspace(controls[1, 0], controls[1, 2], 5))


def test_a_stroke_covers_its_length_times_its_width() -> None:
    curve = np.array([[[0.25, 0.5], [0.5, 0.5], [0.75, 0.5]]])
    cover = draw_strokes(curve, np.array([2 / 64]), height=64, width=64)
    assert cover.shape == (64, 64)
    assert cover.max() == 1
    assert cover.sum() == pytest.approx(32 * 2, rel=0.1)
    assert not cover[:30].any()
    assert not cover[34:].any()


def test_hair_darkens_some_of_a_light_skin_and_lightens_none() -> None:
    skin = torch.full((3, 128, 128), 0.8)
    for index in range(10):
        hairy = augment_pair(Compose([RandHaird(1.0)]), {"image": skin, "mask": skin[:1]}, 0, 0, index)[
            "image"
        ]
        assert (hairy <= 0.8 + 1e-6).all()
        assert 0.001 < (hairy[0] < 0.7).float().mean() < 0.3
        assert (hairy[0] == 0.8).float().mean() > 0.5


def test_random_state_is_defined_by_its_numbers_in_their_order() -> None:
    assert random_state(1, 2, 3).rand() == random_state(1, 2, 3).rand()
    assert len({random_state(*numbers).rand() for numbers in ((1, 2, 3), (3, 2, 1), (1, 2, 4))}) == 3
