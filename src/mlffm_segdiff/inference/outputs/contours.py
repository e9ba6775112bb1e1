"""A mask as GeoJSON polygons and as COCO's run lengths."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlffm_segdiff.inference.outputs.outlines import Mask, Ring, outline_polygons, signed_area


def geojson(mask: Mask, name: str) -> dict[str, Any]:
    """Return a GeoJSON FeatureCollection of an HxW bool mask: one Polygon a 4-connected part, largest first.

    name: the picture's, told by each feature. Coordinates are pixels: x to the right, y down, (0, 0) the
    outer corner of the upper left pixel, so that a pixel's centre lies at halves. Rings run along pixel
    edges and are closed, exteriors and holes in opposite directions (RFC 7946, 3.1.6, read as numbers); see
    `outline_polygons`. `area` is in pixels. `width` and `height` of the collection are the picture's. No
    lesion: no feature.
    """
    height, width = mask.shape
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [_closed(ring) for ring in polygon]},
            "properties": {
                "image": name,
                "part": part,
                "area": sum(map(signed_area, polygon)),
                "objectType": "annotation",
                "classification": {"name": "lesion"},
            },
        }
        for part, polygon in enumerate(outline_polygons(mask), 1)
    ]
    return {"type": "FeatureCollection", "width": width, "height": height, "features": features}


def coco_rle(mask: Mask) -> dict[str, Any]:
    """Return an HxW bool mask as COCO's compressed run lengths: {"size": [H, W], "counts": text}.

    The columns of the mask stand one below the other; the runs of skin and lesion alternate, skin first.
    pycocotools.mask.decode reads it.
    """
    return {"size": list(mask.shape), "counts": _packed(_runs(mask))}


def _closed(ring: Ring) -> list[list[int]]:
    corners: list[list[int]] = ring.tolist()
    return [*corners, corners[0]]


def _runs(mask: Mask) -> list[int]:
    """The lengths of the runs, down the columns, of skin and lesion in turn; the first may be 0."""
    values = mask.ravel(order="F")
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    begun = [0, 0] if values[0] else [0]
    runs: list[int] = np.diff([*begun, *changes.tolist(), values.size]).tolist()
    return runs


def _packed(runs: Sequence[int]) -> str:
    """COCO's text of run lengths: from the fourth on less the one of the same kind before, then `_digits`."""
    return "".join(_digits(run - (runs[k - 2] if k > 2 else 0)) for k, run in enumerate(runs))


def _digits(value: int) -> str:
    """Five bits a character from the lowest on, 32 where more follow, from "0" on; the last has the sign."""
    text = ""
    while True:
        bits, value = value & 31, value >> 5
        if value == (-1 if bits & 16 else 0):
            return text + chr(48 + bits)
        text += chr(48 + (bits | 32))
