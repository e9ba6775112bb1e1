"""Masks drawn in LabelMe, with one JSON file per image (https://github.com/wkentaro/labelme)."""

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.drawn_mask import DrawnMask, ImagesByName, LesionLabels, read_annotations
from mlffm_segdiff.data.datasets.drawn_shapes import DrawnCrop, Ellipse, Shape, polygon_of, rectangle_of
from mlffm_segdiff.data.datasets.groups import groups_tables, read_groups
from mlffm_segdiff.data.datasets.image_folder import images_among
from mlffm_segdiff.data.datasets.mask_names import IdLookup, case_id, unique_by_id
from mlffm_segdiff.data.datasets.pairing import Pairing, list_files, require

_LAYOUT = "give the folder of the images and of LabelMe's JSON files"
_MIN_POINTS = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2}
"""Kinds of shapes that have an area, and the fewest points of each."""


def find_labelme(path: Path) -> Pairing:
    """Find images, and masks that polygons, rectangles, circles and masks of LabelMe draw.

    All shapes of an image are one mask; without any it is empty.

    Args:
        path: Folder with the images and the JSON files, which may be in folders of their own; with #LABEL
            after it, shapes of other labels are left out.

    Raises:
        UserError: If there are no images or JSON files, the shapes have several labels and none is chosen, or
            two images have the same name.
    """
    labels = LesionLabels.of(path)
    root = labels.root
    listing = list_files(root)
    image_entries = images_among(listing.entries)
    images = unique_by_id((case_id(entry), entry) for entry in image_entries)
    require(images, "images", root, _LAYOUT)
    files, keys = ImagesByName(image_entries), IdLookup(images)
    masks: list[tuple[str, Entry]] = []
    for table in listing.entries:
        if not table.name.lower().endswith(".json"):
            continue
        own = keys.find(case_id(table)) or case_id(table)
        try:
            content = read_annotations(table)
        except UserError as error:
            if own in images:
                masks.append((own, DrawnMask(table.path, table.member, own, fault=str(error))))
            continue
        if isinstance(content, dict) and isinstance(content.get("shapes"), list):
            named = files.find(str(content.get("imagePath") or ""), table)
            masks.append((case_id(named) if named else own, _draw(table, content, own, labels)))
    found = unique_by_id(masks)
    require(found, "JSON files of LabelMe", root, _LAYOUT)
    labels.require()
    tables = groups_tables(listing)
    groups = read_groups(tables, {**found, **images})
    return Pairing(images, found, groups, ignored=listing.without(images, found, tables))


def _draw(table: Entry, content: Mapping[str, Any], key: str, labels: LesionLabels) -> DrawnMask:
    try:
        width, height = int(content["imageWidth"]), int(content["imageHeight"])
        shapes = tuple(_shape(one) for one in content["shapes"] if labels.take(str(one["label"])))
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        fault = f"not an annotation of LabelMe with areas ({error}); correct or remove it"
        return DrawnMask(table.path, table.member, key, fault=fault)
    return DrawnMask(table.path, table.member, key, shapes, width, height)


def _shape(shape: Mapping[str, Any]) -> Shape:
    kind = shape.get("shape_type") or "polygon"
    points = [(float(x), float(y)) for x, y in shape["points"]]
    if kind not in _MIN_POINTS or len(points) < _MIN_POINTS[kind]:
        raise ValueError(f"a shape is a {kind} of {len(points)} points, which has no area")
    if kind == "circle":
        radius = math.dist(*points[:2])
        return Ellipse(points[0], (radius, radius))
    if kind == "mask":
        left, top = (round(number) for number in points[0])
        return DrawnCrop(base64.b64decode(shape["mask"], validate=True), max(left, 0), max(top, 0))
    if kind == "rectangle" and len(points) == 2:
        return rectangle_of(points[0], points[1])
    return polygon_of(points)
