"""Polygons in Ultralytics' YOLO format (https://docs.ultralytics.com/datasets/segment)."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import yaml

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.drawn_mask import DrawnMask, LesionLabels
from mlffm_segdiff.data.datasets.drawn_shapes import RelativePolygon
from mlffm_segdiff.data.datasets.groups import groups_tables, read_groups
from mlffm_segdiff.data.datasets.image_folder import images_among
from mlffm_segdiff.data.datasets.mask_names import IdLookup, case_id, pair_ids, unique_by_id
from mlffm_segdiff.data.datasets.pairing import Pairing, list_files, location, require, split_of_parts
from mlffm_segdiff.data.splits import PART_NAMES, SPLITS

_LAYOUT = "give the folder of data.yaml, with images/ and the same folders and names in labels/"
_MARGIN = 0.01
"""Ultralytics lets corners be outside the image by this fraction."""


def find_yolo(path: Path) -> Pairing:
    """Find images in images/, and masks that the polygons of the text files in labels/ draw.

    All polygons of an image are one mask; an image without a text file has an empty one. data.yaml names the
    classes; otherwise their numbers are the names. Folders train, val (or valid) and test are the split, see
    `split_of_parts`. groups.csv (id,group) is read if present.

    Args:
        path: Folder or zip file; with #LABEL after it, polygons of other classes are left out.

    Raises:
        UserError: If there are no images or text files, data.yaml is damaged, the polygons are of several
            classes and none is chosen, two images have the same name, or a text file has the name of an image
            but is not where its labels belong.
    """
    labels = LesionLabels.of(path)
    root = labels.root
    listing = list_files(root)
    places = {PurePosixPath(location(entry, root)): entry for entry in listing.entries}
    tables = [entry for entry in listing.entries if entry.name.lower() in ("data.yaml", "data.yml")]
    names = _class_names(tables[0]) if tables else {}
    texts = {str(place): entry for place, entry in places.items() if _is_text(place)}
    require(texts, "text files in labels/", root, _LAYOUT)
    pictures = set(images_among(entry for place, entry in places.items() if "images" in place.parts[:-1]))
    shown = {place: entry for place, entry in places.items() if entry in pictures}
    images = unique_by_id((case_id(entry), entry) for entry in shown.values())
    require(images, "images in images/", root, _LAYOUT)
    grouping = groups_tables(listing)
    ignored = listing.without(images, grouping) - len(texts) - len(tables)
    own = _texts_of_images(shown, texts)
    masks: list[tuple[str, Entry]] = [
        (case_id(image), _draw(own.get(place), image, names, labels)) for place, image in shown.items()
    ]
    used = set(own.values())
    masks += [(case_id(text), text) for text in texts.values() if text not in used]
    labels.require()
    drawn = unique_by_id(masks)
    groups, parts = read_groups(grouping, {**drawn, **images}), _by_part(shown)
    split = split_of_parts(parts, groups) if parts["train"] or parts["test"] else None
    return Pairing(images, drawn, groups, split, ignored=ignored)


def _is_text(place: PurePosixPath) -> bool:
    return "labels" in place.parts[:-1] and place.suffix.lower() == ".txt" and place.name != "classes.txt"


def _texts_of_images(
    images: Mapping[PurePosixPath, Entry], texts: Mapping[str, Entry]
) -> dict[PurePosixPath, Entry]:
    """Return the text file of each image that has one, paired across case and Unicode form.

    Raises:
        UserError: If a text file of no image has the name of one; the image would have an empty mask.
    """
    place_of = {_label_place(place): place for place in images}
    text_at = {_without_suffix(PurePosixPath(place)): text for place, text in texts.items()}
    own = {place_of[key]: text_at[other] for key, other in pair_ids(place_of, text_at).items()}
    belongs, used = {case_id(images[place]): label for label, place in place_of.items()}, set(own.values())
    ids = IdLookup(belongs)
    for text in texts.values():
        key = ids.find(case_id(text))
        if key is not None and text not in used:
            raise UserError(
                f"{text} has the name of the image {key!r}, whose labels belong in {belongs[key]}.txt; "
                "move or remove the file"
            )
    return own


def _label_place(place: PurePosixPath) -> str:
    """Return the place of an image's text file, without suffix: labels/ instead of the innermost images/."""
    parts = list(place.parts)
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return _without_suffix(PurePosixPath(*parts))


def _without_suffix(place: PurePosixPath) -> str:
    return str(place.with_suffix(""))


def _class_names(table: Entry) -> Mapping[str, str]:
    """Return the names of the classes by their numbers."""
    try:
        names = yaml.safe_load(table.read())["names"]
        items = names.items() if isinstance(names, dict) else enumerate(names)
        return {str(number): str(name) for number, name in items}
    except (yaml.YAMLError, LookupError, TypeError, ValueError, RecursionError) as error:
        reason = reason_of(error)
        raise UserError(f"{table} does not name the classes ({reason}); add names: [lesion]") from error


def _draw(text: Entry | None, image: Entry, names: Mapping[str, str], labels: LesionLabels) -> DrawnMask:
    if text is None:
        return DrawnMask(image.path, image.member, case_id(image), image=image)
    polygons = []
    try:
        for number, line in enumerate(text.read().decode("utf-8-sig").splitlines(), 1):
            label, *values = line.split() or [""]
            if label and labels.take(names.get(label, label)):
                polygons.append(_polygon([float(value) for value in values], number))
    except ValueError as error:
        fault = f"not polygons of YOLO ({error}); export the labels again"
        return DrawnMask(text.path, text.member, case_id(image), fault=fault)
    return DrawnMask(text.path, text.member, case_id(image), tuple(polygons), image=image)


def _polygon(values: list[float], line: int) -> RelativePolygon:
    if len(values) < 6 or len(values) % 2:
        kind = "a box" if len(values) == 4 else f"{len(values)} numbers"
        raise ValueError(f"line {line} is {kind}, which is not a polygon")
    if not all(-_MARGIN <= value <= 1 + _MARGIN for value in values):
        raise ValueError(f"line {line} has corners outside the image: they are fractions from 0 to 1")
    return RelativePolygon(tuple(zip(values[::2], values[1::2], strict=True)))


def _by_part(images: Mapping[PurePosixPath, Entry]) -> dict[str, dict[str, Entry]]:
    """Return images by id, by the part that one of their folders names; those in no such folder train."""
    parts: dict[str, dict[str, Entry]] = {part: {} for part in SPLITS}
    for place, image in images.items():
        named = {PART_NAMES[folder.lower()] for folder in place.parts[:-1] if folder.lower() in PART_NAMES}
        if len(named) < 2:
            parts[named.pop() if named else "train"][case_id(image)] = image
    return parts
