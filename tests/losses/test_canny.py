import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mlffm_segdiff.losses.canny import canny_edge

Mask = npt.NDArray[np.bool_]


def masks() -> st.SearchStrategy[Mask]:
    return arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def drawn(*rows: str) -> Mask:
    return np.array([list(row) for row in rows]) == "#"


@pytest.mark.parametrize(
    ("mask", "edge"),
    [
        # strength 4 in both columns next to the edge: the left one stays, at the border too
        (("##....", "##....", "##...."), (".#....", ".#....", ".#....")),
        (("....##", "....##", "....##"), ("...#..", "...#..", "...#..")),
        # a square: the upper and left edges lie outside it, the lower and right ones inside; its corners, 6
        # strong, beat the 4 next to them and the 2 outside
        (
            ("........", "........", "..####..", "..####..", "..####..", "..####..", "........", "........"),
            ("........", "...##...", "..#..#..", ".#...#..", ".#...#..", "..####..", "........", "........"),
        ),
        # a diagonal: 6 strong on both sides, and across it each has a 2 and a 2 or 0 as neighbours: both stay
        (
            ("#.....", "##....", "###...", "####..", "#####.", "######"),
            (".#....", ".##...", "..##..", "...##.", "....##", "......"),
        ),
    ],
    ids=["left", "right", "square", "diagonal"],
)
def test_edges_drawn_by_hand(mask: tuple[str, ...], edge: tuple[str, ...]) -> None:
    found = canny_edge(drawn(*mask))
    assert ["".join(".#"[int(pixel)] for pixel in row) for row in found] == list(edge)


@pytest.mark.parametrize("full", [True, False])
def test_a_mask_without_contour_has_no_edge(full: bool) -> None:
    assert not canny_edge(np.full((5, 7), full)).any()


def opencv(mask: Mask) -> Mask:
    """OpenCV's rule (modules/imgproc/src/canny.cpp, thresholds 0), pixel by pixel in its whole numbers."""
    height, width = mask.shape

    def grey(i: int, j: int) -> int:
        return int(mask[min(max(i, 0), height - 1), min(max(j, 0), width - 1)])

    def sobel(i: int, j: int) -> tuple[int, int]:
        weights = ((-1, 1), (0, 2), (1, 1))
        dx = sum(w * (grey(i + k, j + 1) - grey(i + k, j - 1)) for k, w in weights)
        dy = sum(w * (grey(i + 1, j + k) - grey(i - 1, j + k)) for k, w in weights)
        return dx, dy

    def strength(i: int, j: int) -> int:
        inside = 0 <= i < height and 0 <= j < width
        return sum(map(abs, sobel(i, j))) if inside else 0

    def kept(i: int, j: int) -> bool:
        m, (dx, dy) = strength(i, j), sobel(i, j)
        x, y = abs(dx), abs(dy) << 15
        tangent = 13573 * x  # tan 22.5 degrees in 15 binary places
        if m == 0:
            return False
        if y < tangent:
            return m > strength(i, j - 1) and m >= strength(i, j + 1)
        if y > tangent + (x << 16):
            return m > strength(i - 1, j) and m >= strength(i + 1, j)
        s = -1 if (dx ^ dy) < 0 else 1
        return m > strength(i - 1, j - s) and m > strength(i + 1, j + s)

    return np.array([[kept(i, j) for j in range(width)] for i in range(height)])


@given(masks())
def test_the_edge_of_any_mask_is_opencvs(mask: Mask) -> None:
    np.testing.assert_array_equal(canny_edge(mask), opencv(mask))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_the_edge_of_a_large_mask_of_noise_is_opencvs(share: float) -> None:
    """Every slope that a mask can have is in it, also those next to 22.5 degrees."""
    mask = np.random.default_rng(0).random((60, 70)) < share
    np.testing.assert_array_equal(canny_edge(mask), opencv(mask))


@given(masks())
def test_the_edge_is_that_of_the_transposed_mask_and_of_the_skin(mask: Mask) -> None:
    np.testing.assert_array_equal(canny_edge(mask.T), canny_edge(mask).T)
    np.testing.assert_array_equal(canny_edge(~mask), canny_edge(mask))
