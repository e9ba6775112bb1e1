"""Masks in COCO's JSON format: polygons and run lengths (Lin et al. 2014, arXiv:1405.0312)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.drawn_mask import DrawnMask, LesionLabels, pair_drawn, read_annotations
from mlffm_segdiff.data.datasets.drawn_shapes import Runs, Shape, polygon_of
from mlffm_segdiff.data.datasets.pairing import Pairing, list_files, require

_LAYOUT = "give a folder with a COCO JSON file (images, annotations, categories) and its images"


def find_coco(path: Path) -> Pairing:
    """Find the images that COCO's JSON files name, and the masks that their annotations draw.

    All annotations of an image are one mask; an image without any has an empty one.

    Args:
        path: Folder with one or more JSON files and the images, anywhere in it, or one of the JSON files;
            with #LABEL after it, the other categories are left out.

    Raises:
        UserError: If there is no such file or image, a JSON file is damaged, the annotations are of several
            categories and none is chosen, two images have the same name or id, or an annotation is of none.
    """
    labels = LesionLabels.of(path)
    given = labels.root
    single = given.is_file() and given.suffix.lower() == ".json"
    root = given.parent if single else given
    listing = list_files(root.parent if single and root.name == "annotations" else root)
    tables = {
        entry: content
        for entry in ([Entry(given)] if single else listing.entries)
        if entry.name.lower().endswith(".json") and _is_coco(content := read_annotations(entry))
    }
    require({table.name: table for table in tables}, "COCO JSON files", given, _LAYOUT)
    drawn: list[DrawnMask] = []
    for table, content in tables.items():
        try:
            drawn += _draw(table, content, labels)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise UserError(
                f"{table} is not in COCO's format ({error!r}); export the annotations again"
            ) from error
    labels.require()
    paired = pair_drawn(drawn, listing, len(tables))
    require(paired.images, "images that the COCO JSON files name", given, _LAYOUT)
    return paired


def decode_counts(counts: str) -> tuple[int, ...]:
    """Decode COCO's compressed run lengths, as `rleFrString` of pycocotools does.

    A length is stored in groups of five bits, the lowest first, in characters from ``0``; a sixth bit says
    that more follow. From the fourth on, it is the difference to the last but one.

    Raises:
        ValueError: If the text ends within a length.
    """
    lengths: list[int] = []
    value = shift = 0
    for letter in counts.encode("ascii"):
        bits = letter - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("the run lengths are truncated")
    return tuple(lengths)


def _is_coco(content: object) -> bool:
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()


def _draw(table: Entry, content: Mapping[str, Any], labels: LesionLabels) -> list[DrawnMask]:
    """Return the mask of each image."""
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    annotations: dict[object, list[Mapping[str, Any]]] = {}
    for image in content["images"]:
        if image["id"] in annotations:
            raise UserError(f"{table}: two images have the id {image['id']!r}; export the annotations again")
        annotations[image["id"]] = []
    for annotation in content["annotations"]:
        of = annotation["image_id"]
        if of not in annotations:
            raise UserError(
                f"{table}: annotation {annotation.get('id')} is of an image with the id {of!r}, which is not "
                "among the images; correct its image_id or remove it"
            )
        if labels.take(names[annotation["category_id"]]):
            annotations[of].append(annotation)
    drawn = []
    for image in content["images"]:
        width, height, label = int(image["width"]), int(image["height"]), str(image["file_name"])
        shapes: list[Shape] = []
        fault = ""
        for annotation in annotations[image["id"]]:
            try:
                shapes += _shapes(annotation.get("segmentation"), width, height)
            except (LookupError, TypeError, ValueError) as error:
                fault = f"annotation {annotation.get('id')} has no mask ({error}); draw one or remove it"
        drawn.append(DrawnMask(table.path, table.member, label, tuple(shapes), width, height, fault=fault))
    return drawn


def _shapes(segmentation: Any, width: int, height: int) -> Sequence[Shape]:
    if not segmentation:
        raise ValueError("its segmentation is empty")
    if isinstance(segmentation, list):
        return [polygon_of(zip(flat[::2], flat[1::2], strict=True)) for flat in segmentation]
    counts = segmentation["counts"]
    lengths = decode_counts(counts) if isinstance(counts, str) else tuple(map(int, counts))
    if list(segmentation["size"]) != [height, width] or sum(lengths) != width * height or min(lengths) < 0:
        raise ValueError(f"its run lengths are not those of an image of {width}x{height}")
    return [Runs(lengths)]
