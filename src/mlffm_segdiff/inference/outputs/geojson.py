"""The outline of a mask as GeoJSON polygons."""

import json
from typing import Any

from mlffm_segdiff.files.atomic import write_text
from mlffm_segdiff.inference.estimates import ContourBand
from mlffm_segdiff.inference.outputs.outlines import Ring, outline_polygons, signed_area
from mlffm_segdiff.inference.outputs.writers import Writer
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.overlap import Mask


class ContoursWriter(Writer):
    """contours/NAME.geojson."""

    def case_files(self, stem: str) -> tuple[str, ...]:
        """Return the file of the polygons."""
        return (f"contours/{stem}.geojson",)

    def write(self, result: CaseResult) -> None:
        """Write the polygons of the mask, and of the inner and outer contour."""
        (path,) = self.paths(result.image.stem)
        write_text(path, json.dumps(geojson(result.mask, result.image.name, result.band)))


def geojson(mask: Mask, name: str, band: ContourBand | None = None) -> dict[str, Any]:
    """Return a mask as `contour_geojson`, followed by the polygons of its inner and outer contour.

    Args:
        mask: HxW bool.
        name: Image name.
        band: Inner and outer contour; None adds none.
    """
    found = contour_geojson(mask, name)
    if band is not None:
        for contour, area in (("inner", band.inner), ("outer", band.outer)):
            found["features"] += contour_geojson(area, name, contour, band.level)["features"]
    return found


def contour_geojson(
    mask: Mask, name: str, contour: str = "mask", level: float | None = None
) -> dict[str, Any]:
    """Return a mask as a GeoJSON FeatureCollection: one Polygon per 4-connected component, largest first.

    Coordinates are pixels: x to the right, y down, (0, 0) the outer corner of the upper left pixel, so that
    pixel centres are at halves. Rings run along pixel edges and are closed, exteriors and holes in opposite
    directions (RFC 7946, 3.1.6, read as numbers); see `outline_polygons`.

    Args:
        mask: HxW bool.
        name: Image name, a property of each feature.
        contour: ``mask``, ``inner`` or ``outer``, a property of each feature.
        level: Level of an inner or outer contour, in (0, 1), a property of each feature.

    Returns:
        The collection, with ``width`` and ``height`` of the image; ``area`` of a feature is in pixels.
    """
    height, width = mask.shape
    named = {"image": name, "contour": contour} | ({} if level is None else {"level": level})
    kind = "lesion" if level is None else f"lesion, {contour} contour"
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [_closed(ring) for ring in polygon]},
            "properties": {
                **named,
                "component": number,
                "area": sum(map(signed_area, polygon)),
                "objectType": "annotation",
                "classification": {"name": kind},
            },
        }
        for number, polygon in enumerate(outline_polygons(mask), 1)
    ]
    return {"type": "FeatureCollection", "width": width, "height": height, "features": features}


def _closed(ring: Ring) -> list[list[int]]:
    corners: list[list[int]] = ring.tolist()
    return [*corners, corners[0]]
