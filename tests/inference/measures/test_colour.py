import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import deltaE_cie76, rgb2lab

from mlffm_segdiff.inference.measures.colour import (
    Colour,
    colour_clusters,
    measure_colour,
)

Pixels = npt.NDArray[np.uint8]
BROWN, RED, BLUE = (120, 72, 40), (190, 60, 60), (70, 80, 140)


def striped(*colours: tuple[int, int, int], widths: tuple[int, ...]) -> Pixels:
    row = np.concatenate([np.tile(colour, (width, 1)) for colour, width in zip(colours, widths, strict=True)])
    return np.tile(row.astype(np.uint8), (40, 1, 1))


def everywhere(view: Pixels) -> npt.NDArray[np.bool_]:
    return np.ones(view.shape[:2], bool)


def difference(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    return float(deltaE_cie76(*(rgb2lab(np.array(c, float) / 255) for c in (a, b))))


def test_one_flat_colour_is_one() -> None:
    view = striped(BROWN, widths=(30,))
    assert measure_colour(view, everywhere(view)) == Colour(1, 0.0, pytest.approx(0, abs=1e-9))


def test_two_flat_colours_lie_as_far_apart_as_their_difference() -> None:
    view = striped(BROWN, RED, widths=(30, 10))
    found = measure_colour(view, everywhere(view))
    distance = difference(BROWN, RED)
    assert found.colours == 2
    assert found.colour_distance == pytest.approx(distance)
    assert found.colour_spread == pytest.approx(distance * np.sqrt(0.75 * 0.25))


def test_of_three_colours_the_farthest_two_count() -> None:
    view = striped(BROWN, RED, BLUE, widths=(20, 20, 20))
    found = measure_colour(view, everywhere(view))
    pairs = [difference(a, b) for a, b in ((BROWN, RED), (RED, BLUE), (BROWN, BLUE))]
    assert (found.colours, found.colour_distance) == (3, pytest.approx(max(pairs)))


def test_shades_nearer_than_a_colour_and_a_few_hairs_are_no_colours_of_their_own() -> None:
    near = (124, 75, 43)
    assert difference(BROWN, near) < 10
    view = striped(BROWN, near, (5, 5, 5), widths=(50, 48, 2))
    assert measure_colour(view, everywhere(view)).colours == 1


def test_noise_makes_no_colours() -> None:
    noise = np.random.default_rng(0).normal(0, 4, (40, 60, 3))
    view = (striped(BROWN, BLUE, widths=(30, 30)) + noise).clip(0, 255).astype(np.uint8)
    found = measure_colour(view, everywhere(view))
    assert found.colours == 2
    assert found.colour_distance == pytest.approx(difference(BROWN, BLUE), abs=1)


def test_only_the_lesion_counts_and_the_mask_may_be_larger_than_the_view() -> None:
    view = striped(BROWN, RED, widths=(20, 20))
    mask = np.zeros((120, 120), bool)
    mask[:, :60] = True
    assert measure_colour(view, mask) == measure_colour(view[:, :20], np.ones((40, 20), bool))


def test_a_lesion_without_a_pixel_in_the_view_has_no_colour() -> None:
    view = striped(BROWN, widths=(30,))
    assert measure_colour(view, np.zeros((40, 30), bool)) == Colour()
    mask = np.zeros((400, 300), bool)
    mask[0, 0] = True
    assert measure_colour(view, mask) == Colour()
    mask[5, 5] = True
    assert measure_colour(view, mask).colours == 1


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=40))
def test_any_colours_give_one_to_six_clusters_and_the_same_ones_again(
    colours: list[tuple[int, int, int]],
) -> None:
    lab = rgb2lab(np.array(colours, np.uint8))
    found = colour_clusters(lab)
    assert 1 <= len(found) <= 6
    np.testing.assert_array_equal(found, colour_clusters(lab))
