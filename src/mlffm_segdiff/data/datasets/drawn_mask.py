"""Masks that are drawn from the shapes of an annotation file."""

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

import numpy as np
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.drawn_shapes import Shape
from mlffm_segdiff.data.datasets.groups import groups_tables, read_groups
from mlffm_segdiff.data.datasets.image_folder import images_among
from mlffm_segdiff.data.datasets.mask_names import case_id, match_key, unique_by_id
from mlffm_segdiff.data.datasets.pairing import Listing, Pairing
from mlffm_segdiff.data.files import upright_size
from mlffm_segdiff.data.image_formats import check_size


@dataclass(frozen=True)
class DrawnMask(Entry):
    """A mask drawn from shapes; read as a PNG file.

    Attributes:
        label: Name of its image.
        shapes: Shapes in the lesion.
        width: Width in pixels.
        height: Height in pixels.
        image: The image, if its size is that of the mask; otherwise `width` and `height` are.
        fault: Fault of the annotation, and how to correct it; empty if nothing is.
    """

    label: str = ""
    shapes: tuple[Shape, ...] = ()
    width: int = 0
    height: int = 0
    image: Entry | None = None
    fault: str = ""

    @property
    def name(self) -> str:
        """Name of the annotation file and of the image."""
        return f"{super().name}:{self.label}"

    def __str__(self) -> str:
        return f"{super().__str__()}:{self.label}"

    def read(self) -> bytes:
        """Return the mask as a PNG file of 0 and 255. Raises UserError if it cannot be drawn."""
        if self.fault:
            raise UserError(f"{self}: {self.fault}")
        width, height = self.width, self.height
        if self.image is not None:
            width, height = upright_size(self.image.read(), str(self.image))
        check_size(width, height, str(self))
        mask = np.zeros((height, width), bool)
        try:
            for shape in self.shapes:
                shape.draw(mask)
        except (ValueError, UserError) as error:
            raise UserError(f"{self} cannot be drawn ({error}); correct the annotation") from error
        stream = io.BytesIO()
        Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(stream, "PNG", compress_level=1)
        return stream.getvalue()

    def stamp(self) -> str:
        """Return a short text that changes with the shapes, the size and the fault."""
        size = self.image.stamp() if self.image else (self.width, self.height)
        facts = repr((self.shapes, size, self.fault))
        return hashlib.sha256(facts.encode()).hexdigest()[:32]


class ImagesByName:
    """Image files by name, to find those that annotations name.

    Args:
        entries: Image files.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._found: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            self._found[match_key(entry.name)].append(entry)

    def find(self, named: str, annotations: Entry) -> Entry | None:
        """Return the image of a name, which may have folders, in an annotation file; None if there is none.

        Raises:
            UserError: If several files fit equally well.
        """
        path = PurePosixPath(named.replace("\\", "/"))
        found = self._found.get(match_key(path.name), [])
        ends = f"/{'/'.join(part for part in path.parts if part not in ('.', '..', '/'))}"
        for nearer in (
            [entry for entry in found if _path(entry).parent == _path(annotations).parent],
            [entry for entry in found if str(_path(entry)).endswith(ends)],
        ):
            found = nearer or found
        if len(found) > 1:
            raise UserError(
                f"{annotations} names {named!r}, which may be {found[0]} or {found[1]}; remove one"
            )
        return found[0] if found else None


def pair_drawn(drawn: Iterable[DrawnMask], listing: Listing, tables: int) -> Pairing:
    """Pair masks with the images that they name.

    Args:
        drawn: Masks; `label` is the name of the image.
        listing: All files, among them the images.
        tables: Number of annotation files in the listing.

    Raises:
        UserError: If several images fit a name equally well, two have the same id, or groups.csv is invalid.
    """
    files = ImagesByName(images_among(listing.entries))
    images: list[tuple[str, Entry]] = []
    masks: list[tuple[str, Entry]] = []
    for mask in drawn:
        image = files.find(mask.label, Entry(mask.path, mask.member))
        key = case_id(image or Entry(Path(mask.label)))
        masks.append((key, mask))
        images += [(key, image)] if image else []
    found, by_case, groups = unique_by_id(images), unique_by_id(masks), groups_tables(listing)
    ignored = listing.without(found, groups) - tables
    return Pairing(found, by_case, read_groups(groups, {**by_case, **found}), ignored=ignored)


def _path(entry: Entry) -> PurePosixPath:
    path = PurePosixPath(entry.path.as_posix())
    return path if entry.member is None else path / entry.member


def read_annotations(entry: Entry) -> Any:
    """Return the content of a JSON file. Raises UserError if it is not JSON."""
    try:
        return json.loads(entry.read().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{entry} is not JSON ({error}); export the annotations again") from error


@dataclass
class LesionLabels:
    """Which labels of an annotation file are the lesion.

    Attributes:
        root: The annotations, without the labels.
        chosen: Labels of the lesion; empty if there must be one label only.
        seen: Labels of all shapes.
    """

    root: Path
    chosen: frozenset[str]
    seen: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, path: Path) -> Self:
        """Split FOLDER#LABEL or FOLDER#LABEL,LABEL; a path that exists is taken as it is."""
        given = expanded(path).absolute()
        root, hash_sign, labels = str(given).rpartition("#")
        if given.exists() or not hash_sign:
            return cls(given, frozenset())
        return cls(Path(root), frozenset(label.strip() for label in labels.split(",")))

    def take(self, label: str) -> bool:
        """Return whether shapes of a label are the lesion."""
        self.seen.add(label)
        return not self.chosen or label in self.chosen

    def require(self) -> None:
        """Raise UserError if there are several labels and none is chosen, or a chosen one has no shapes."""
        found = ", ".join(sorted(self.seen)) or "none"
        if missing := sorted(self.chosen - self.seen):
            raise UserError(f"no shape in {self.root} has the label {missing[0]!r}; its labels are: {found}")
        if not self.chosen and len(self.seen) > 1:
            raise UserError(
                f"the annotations in {self.root} have the labels {found}; choose those of the lesion "
                f"by adding them to the path, as in {self.root.name}#{min(self.seen)}"
            )
