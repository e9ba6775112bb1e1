from itertools import pairwise

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from matplotlib.path import Path
from scipy.ndimage import label

from mlffm_segdiff.inference.outputs.outlines import Ring, outline_polygons, signed_area

Mask = npt.NDArray[np.bool_]

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))


def drawn(ring: Ring, shape: tuple[int, int]) -> Mask:
    """Matplotlib's answer to which pixel centres are in the ring."""
    rows, columns = np.indices(shape)
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
    closed = np.concatenate([ring, ring[:1]])
    return Path(closed).contains_points(centres).reshape(shape)


def as_sets(polygons: list[list[Ring]]) -> list[list[set[tuple[int, int]]]]:
    return [[{tuple(corner) for corner in ring.tolist()} for ring in polygon] for polygon in polygons]


def test_one_pixel_is_its_four_corners() -> None:
    mask = np.zeros((4, 5), bool)
    mask[2, 3] = True
    assert as_sets(outline_polygons(mask)) == [[{(3, 2), (4, 2), (4, 3), (3, 3)}]]


def test_a_ring_has_a_hole_and_the_largest_part_comes_first() -> None:
    mask = np.zeros((6, 9), bool)
    mask[0, 8] = True
    mask[1:5, 1:6] = True
    mask[2:4, 2:4] = False
    ring, pixel = outline_polygons(mask)
    assert as_sets([ring]) == [
        [{(1, 1), (6, 1), (6, 5), (1, 5)}, {(2, 2), (4, 2), (4, 4), (2, 4)}],
    ]
    assert [signed_area(one) for one in (*ring, *pixel)] == [20, -4, 1]


def test_parts_and_holes_that_meet_in_a_corner_stay_apart() -> None:
    corner = np.array([[1, 0], [0, 1]], bool)
    assert len(outline_polygons(corner)) == 2
    (polygon,) = outline_polygons(np.pad(~corner, 1, constant_values=True))
    assert [signed_area(ring) for ring in polygon] == [16, -1, -1]


def test_a_part_that_bites_its_own_tail_has_a_hole_that_touches_its_outline() -> None:
    mask = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1], [1, 1, 1, 1]], bool)
    (polygon,) = outline_polygons(mask)
    assert [signed_area(ring) for ring in polygon] == [14, -3]


def test_nothing_has_no_outline_and_a_full_mask_the_frame() -> None:
    assert outline_polygons(np.zeros((3, 4), bool)) == []
    assert as_sets(outline_polygons(np.ones((3, 4), bool))) == [[{(0, 0), (4, 0), (4, 3), (0, 3)}]]


@given(masks)
def test_one_polygon_a_part_and_drawing_them_gives_the_mask_back(mask: Mask) -> None:
    polygons = outline_polygons(mask)
    parts, count = label(mask)
    assert len(polygons) == count
    found = np.zeros(mask.shape, int)
    for exterior, *holes in polygons:
        part = drawn(exterior, mask.shape).astype(int) - sum(drawn(hole, mask.shape) for hole in holes)
        assert part.min() >= 0, "holes lie in their exterior and overlap no other"
        assert len(np.unique(parts[part > 0])) == 1
        found += part
    np.testing.assert_array_equal(found, mask)


@given(masks)
def test_rings_are_simple_and_turn_at_every_corner(mask: Mask) -> None:
    for polygon in outline_polygons(mask):
        assert [signed_area(ring) > 0 for ring in polygon] == [True] + [False] * (len(polygon) - 1)
        for ring in polygon:
            corners = [tuple(corner) for corner in ring.tolist()]
            assert len(set(corners)) == len(corners) >= 4
            steps = np.diff(np.concatenate([ring, ring[:2]]), axis=0)
            assert ((steps == 0).sum(axis=1) == 1).all(), "along pixel edges"
            assert all((one[0] == 0) != (other[0] == 0) for one, other in pairwise(steps.tolist()))
            inner = {
                point for start, step in zip(ring, steps, strict=False) for point in between(start, step)
            }
            assert not inner & set(corners), "no ring touches itself"


def between(start: Ring, step: Ring) -> list[tuple[int, int]]:
    length = int(np.abs(step).sum())
    return [tuple((start + step * k // length).tolist()) for k in range(1, length)]


@given(masks)
def test_two_rings_of_a_polygon_meet_only_in_corners(mask: Mask) -> None:
    for polygon in outline_polygons(mask):
        edges = [
            frozenset((tuple(start.tolist()), tuple((start + step // length).tolist())))
            for ring in polygon
            for start, step, length in unit_edges(ring)
        ]
        assert len(set(edges)) == len(edges)


def unit_edges(ring: Ring) -> list[tuple[Ring, Ring, int]]:
    found = []
    for start, step in zip(ring, np.diff(np.concatenate([ring, ring[:1]]), axis=0), strict=True):
        length = int(np.abs(step).sum())
        found += [(start + step // length * k, step, length) for k in range(length)]
    return found
