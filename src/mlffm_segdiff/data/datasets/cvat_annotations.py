"""Masks drawn in CVAT: XML of "CVAT for images 1.1" (https://docs.cvat.ai/docs/dataset_management/formats)."""

from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.drawn_mask import DrawnMask, LesionLabels, pair_drawn
from mlffm_segdiff.data.datasets.drawn_shapes import BoxRuns, Ellipse, Point, Shape, polygon_of, rectangle_of
from mlffm_segdiff.data.datasets.pairing import Pairing, list_files, require

_LAYOUT = "give the export 'CVAT for images 1.1' with its images, a zip file or a folder"
_AREAS = ("polygon", "mask", "ellipse", "box")
_WITHOUT_AREA = ("polyline", "points", "cuboid", "skeleton")


class _NoDoctype(TreeBuilder):
    """Refuses a document type, whose entities could make a short file long."""

    def doctype(self, *_: str | None) -> None:
        """Raise ValueError."""
        raise ValueError("a document type is not part of the format")


def find_cvat(path: Path) -> Pairing:
    """Find the images that CVAT's XML files name, and masks that their shapes draw.

    All polygons, masks, ellipses and boxes of an image are one mask; without any it is empty. Tags are left
    out.

    Args:
        path: Zip file or folder with one or more XML files and the images, or one of the XML files; with
            #LABEL after it, shapes of other labels are left out.

    Raises:
        UserError: If there is no such file or image, an XML file is damaged or of a video, the shapes have
            several labels and none is chosen, or two images have the same name.
    """
    labels = LesionLabels.of(path)
    given = labels.root
    single = given.is_file() and given.suffix.lower() == ".xml"
    listing = list_files(given.parent if single else given)
    entries = [Entry(given)] if single else listing.entries
    parsed = {entry: _parse(entry) for entry in entries if entry.name.lower().endswith(".xml")}
    tables = {entry: content for entry, content in parsed.items() if content.tag == "annotations"}
    require({table.name: table for table in tables}, "XML files of CVAT", given, _LAYOUT)
    drawn = [
        _draw(table, image, labels) for table, content in tables.items() for image in content.iter("image")
    ]
    if not drawn and any(content.find("track") is not None for content in tables.values()):
        raise UserError(f"{given} has the tracks of a video, and no images; export as 'CVAT for images 1.1'")
    labels.require()
    paired = pair_drawn(drawn, listing, len(tables))
    require(paired.images, "images that the XML files of CVAT name", given, _LAYOUT)
    return paired


def _parse(entry: Entry) -> Element:
    parser = XMLParser(target=_NoDoctype())
    try:
        parser.feed(entry.read())
        root: Element = parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise UserError(f"{entry} is not XML of CVAT ({error}); export the annotations again") from error
    return root


def _draw(table: Entry, image: Element, labels: LesionLabels) -> DrawnMask:
    name = image.get("name", "")
    try:
        width, height = int(image.attrib["width"]), int(image.attrib["height"])
        shapes = [_shape(one.tag, one.attrib) for one in image if _is_lesion(one, labels)]
    except (LookupError, ValueError, ArithmeticError) as error:
        fault = f"not an annotation of CVAT with areas ({error}); correct or remove it"
        return DrawnMask(table.path, table.member, name, fault=fault)
    return DrawnMask(table.path, table.member, name, tuple(shapes), width, height)


def _is_lesion(shape: Element, labels: LesionLabels) -> bool:
    return shape.tag in (*_AREAS, *_WITHOUT_AREA) and labels.take(shape.attrib["label"])


def _shape(kind: str, values: Mapping[str, str]) -> Shape:
    if kind == "polygon":
        return polygon_of(_point(text) for text in values["points"].split(";"))
    if kind == "mask":
        left, top, width, height = (int(values[key]) for key in ("left", "top", "width", "height"))
        lengths = tuple(map(int, values["rle"].split(",")))
        if min(lengths) < 0 or sum(lengths) != width * height:
            raise ValueError(f"the run lengths of a mask are not those of a box of {width}x{height}")
        return BoxRuns(lengths, left, top, width, height)
    rotation = float(values.get("rotation", 0))
    if kind == "ellipse":
        x, y, across, down = (float(values[key]) for key in ("cx", "cy", "rx", "ry"))
        return Ellipse((x, y), (across, down), rotation)
    if kind == "box":
        left_edge, upper, right, lower = (float(values[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        return rectangle_of((left_edge, upper), (right, lower), rotation)
    raise ValueError(f"a shape is a {kind}, which has no area")


def _point(text: str) -> Point:
    x, y = map(float, text.split(","))
    return x, y
