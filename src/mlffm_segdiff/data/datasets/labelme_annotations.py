"""Masks drawn in LabelMe, with one JSON file per image (https://github.com/wkentaro/labelme)."""

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.drawn_mask import (
    Circle,
    Crop,
    DrawnMask,
    ImagesByName,
    Shape,
    polygon_of,
    read_annotations,
    require_one_label,
)
from mlffm_segdiff.data.datasets.image_folder import is_image
from mlffm_segdiff.data.datasets.mask_names import case_id, match_key, unique_by_id
from mlffm_segdiff.data.datasets.pairing import Pairing, list_files, require

_LAYOUT = "give the folder of the images and of LabelMe's JSON files"
_FEWEST = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2}
"""Kinds of shapes that have an area, and the fewest points of each."""


def find_labelme(path: Path) -> Pairing:
    """Find images, and masks that polygons, rectangles, circles and masks of LabelMe draw.

    All shapes of an image are one mask; without any it is empty.

    Args:
        path: Folder with the images and the JSON files, which may be in folders of their own.

    Raises:
        UserError: If there are no images or JSON files, the shapes have several labels, or two images have
            the same name.
    """
    root = path.expanduser().absolute()
    listing = list_files(root)
    pictures = [entry for entry in listing.entries if is_image(entry)]
    images = unique_by_id((case_id(entry), entry) for entry in pictures)
    require(images, "images", root, _LAYOUT)
    files, keys = ImagesByName(pictures), {match_key(key): key for key in images}
    masks: list[tuple[str, Entry]] = []
    labels: set[str] = set()
    for table in listing.entries:
        if not table.name.lower().endswith(".json"):
            continue
        own = keys.get(match_key(case_id(table)), case_id(table))
        try:
            content = read_annotations(table)
        except UserError as error:
            if own in images:
                masks.append((own, DrawnMask(table.path, table.member, own, fault=str(error))))
            continue
        if isinstance(content, dict) and isinstance(content.get("shapes"), list):
            named = files.find(str(content.get("imagePath") or ""), table)
            masks.append((case_id(named) if named else own, _draw(table, content, own)))
            shapes = [shape for shape in content["shapes"] if isinstance(shape, dict)]
            labels |= {str(shape["label"]) for shape in shapes if "label" in shape}
    found = unique_by_id(masks)
    require(found, "JSON files of LabelMe", root, _LAYOUT)
    require_one_label(labels, root, "labels")
    return Pairing(images, found, ignored=listing.without(images, found))


def _draw(table: Entry, content: Mapping[str, Any], key: str) -> DrawnMask:
    try:
        width, height = int(content["imageWidth"]), int(content["imageHeight"])
        shapes = tuple(map(_shape, content["shapes"]))
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        fault = f"not an annotation of LabelMe with areas ({error}); correct or remove it"
        return DrawnMask(table.path, table.member, key, fault=fault)
    return DrawnMask(table.path, table.member, key, shapes, width, height)


def _shape(shape: Mapping[str, Any]) -> Shape:
    kind = shape.get("shape_type") or "polygon"
    points = [(float(x), float(y)) for x, y in shape["points"]]
    if kind not in _FEWEST or len(points) < _FEWEST[kind]:
        raise ValueError(f"a shape is a {kind} of {len(points)} points, which has no area")
    if kind == "circle":
        return Circle(points[0], math.dist(*points[:2]))
    if kind == "mask":
        left, top = (round(number) for number in points[0])
        return Crop(base64.b64decode(shape["mask"], validate=True), max(left, 0), max(top, 0))
    return polygon_of(_corners(points) if kind == "rectangle" and len(points) == 2 else points)


def _corners(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    (x1, y1), (x2, y2) = points
    return (x1, y1), (x2, y1), (x2, y2), (x1, y2)
