"""The exact outline of a mask: polygons along the edges of its pixels, with their holes."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

from mlffm_segdiff.inference.masks import lesion_box
from mlffm_segdiff.metrics.overlap import Mask

Ring = npt.NDArray[np.int64]
Polygon = list[Ring]

EAST, SOUTH, WEST, NORTH = range(4)


def outline_polygons(mask: Mask) -> list[Polygon]:
    """Return one polygon per 4-connected component of a mask (HxW bool), the largest first.

    A polygon is its exterior ring followed by its holes. A ring is Nx2: the corners (x, y) of pixel edges,
    with (0, 0) the image's upper left corner and (W, H) its lower right one. It is not closed, no corner
    occurs twice, and x1*y2 - x2*y1 summed along it is positive for exteriors, negative for holes. Components
    and holes that only meet in a corner stay separate, so that each polygon is valid by the simple-feature
    rules (OGC 06-103r4, 6.1.11), the areas of all sum to the number of lesion pixels, and drawing them by
    pixel centres restores the mask.
    """
    rows, columns = lesion_box(mask)
    box = np.pad(mask[rows, columns], 1)
    components, count = label(box)
    corner = np.array([columns.start - 1, rows.start - 1])
    polygons: list[Polygon] = [[] for _ in range(count)]
    for ring, inside in _rings(box):
        polygon = polygons[components[inside] - 1]
        polygon.insert(0 if signed_area(ring) > 0 else len(polygon), ring + corner)
    return sorted(polygons, key=lambda polygon: -sum(map(signed_area, polygon)))


def signed_area(ring: Ring) -> int:
    """Return the area of a ring by the shoelace formula, positive for an exterior; exact."""
    x, y = ring.T
    return int(x[:-1] @ y[1:] - x[1:] @ y[:-1] + x[-1] * y[0] - x[0] * y[-1]) // 2


def _rings(mask: Mask) -> Iterator[tuple[Ring, tuple[int, int]]]:
    """Yield each ring with the row and column of a lesion pixel on it; the mask's frame is all False."""
    starts, headings = _edges(mask)
    successors = _successors(starts, headings, mask.shape[1] + 1)
    turns = np.empty(len(starts), dtype=bool)
    turns[successors] = headings != headings[successors]
    points, turning, successor = starts.tolist(), turns.tolist(), successors.tolist()
    waiting = [True] * len(starts)
    for first in range(len(starts)):
        if not waiting[first]:
            continue
        corners, edge = [], first
        while waiting[edge]:
            waiting[edge] = False
            if turning[edge]:
                corners.append(points[edge])
            edge = successor[edge]
        inside = _pixel_beside(starts[first], int(headings[first]))
        yield from ((np.array(ring), inside) for ring in _simple_rings(corners))


def _edges(mask: Mask) -> tuple[Ring, npt.NDArray[np.int64]]:
    """Return starts (x, y) and headings of the pixel edges between lesion (on the right) and skin."""
    inner = mask[1:-1, 1:-1]
    neighbours = {
        EAST: mask[:-2, 1:-1],
        SOUTH: mask[1:-1, 2:],
        WEST: mask[2:, 1:-1],
        NORTH: mask[1:-1, :-2],
    }
    corners = {EAST: (1, 1), SOUTH: (2, 1), WEST: (2, 2), NORTH: (1, 2)}
    starts, headings = [], []
    for heading, neighbour in neighbours.items():
        found = np.argwhere(inner & ~neighbour)[:, ::-1] + corners[heading]
        starts.append(found)
        headings.append(np.full(len(found), heading))
    return np.concatenate(starts), np.concatenate(headings)


def _successors(starts: Ring, headings: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    """Return the edge that follows each: where two start, the one of the same pixel, a right turn."""
    keys = (starts[:, 1] * width + starts[:, 0]) * 4 + headings
    order = np.argsort(keys)
    steps = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])[headings]
    ends = ((starts + steps) @ (1, width)) * 4
    successor = np.full(len(keys), -1)
    for turn in (3, 0, 1):
        wanted = ends + (headings + turn) % 4
        place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        found = keys[order[place]] == wanted
        successor[found] = order[place[found]]
    return successor


def _pixel_beside(start: Ring, heading: int) -> tuple[int, int]:
    left, up = {EAST: (0, 0), SOUTH: (1, 0), WEST: (1, 1), NORTH: (0, 1)}[heading]
    return int(start[1]) - up, int(start[0]) - left


def _simple_rings(corners: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    """Cut a closed walk, where it meets itself, into rings that do not."""
    walk: list[list[int]] = []
    places: dict[tuple[int, int], int] = {}
    for corner in corners:
        key = (corner[0], corner[1])
        if key in places:
            loop = walk[places[key] :]
            for x, y in loop[1:]:
                del places[x, y]
            del walk[places[key] + 1 :]
            yield loop
        else:
            places[key] = len(walk)
            walk.append(corner)
    yield walk
