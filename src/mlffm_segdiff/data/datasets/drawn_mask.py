"""Masks that are drawn from the shapes of an annotation file."""

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.mask_names import match_key
from mlffm_segdiff.data.files import decode_mask
from mlffm_segdiff.data.image_formats import check_size

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Polygon:
    """A polygon with its corners (x, y) in pixels, (0, 0) being the upper left corner of the image."""

    corners: tuple[tuple[float, float], ...]

    def draw(self, mask: Mask) -> None:
        """Set the pixels whose centres are inside."""
        from skimage.draw import polygon  # here, for it takes long to import and few data sets need it

        x, y = np.array(self.corners, float).T - 0.5
        mask[polygon(y, x, mask.shape)] = True


def polygon_of(points: Iterable[tuple[float, float]]) -> Polygon:
    """Return a polygon with these corners. Raises ValueError if there are under 3 or one is not finite."""
    corners = tuple((float(x), float(y)) for x, y in points)
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError(f"a polygon has {len(corners)} corners, or one that is not a number")
    return Polygon(corners)


@dataclass(frozen=True)
class Circle:
    """A circle: centre (x, y) and radius in pixels."""

    centre: tuple[float, float]
    radius: float

    def draw(self, mask: Mask) -> None:
        """Set the pixels whose centres are inside."""
        from skimage.draw import disk

        x, y = self.centre
        mask[disk((y - 0.5, x - 0.5), self.radius, shape=mask.shape)] = True


@dataclass(frozen=True)
class Runs:
    """COCO's run lengths, of pixels outside and inside in turn, column by column."""

    lengths: tuple[int, ...]

    def draw(self, mask: Mask) -> None:
        """Set the pixels of the runs inside."""
        inside = np.repeat(np.arange(len(self.lengths)) % 2 == 1, self.lengths)
        mask |= inside.reshape(mask.shape[::-1]).T


@dataclass(frozen=True)
class Crop:
    """A mask in a box: its PNG file, and the column and row of its upper left pixel."""

    png: bytes
    left: int
    top: int

    def draw(self, mask: Mask) -> None:
        """Set the pixels of the mask."""
        crop = decode_mask(self.png, "its PNG file")
        height, width = crop.shape
        mask[self.top : self.top + height, self.left : self.left + width] |= crop


Shape = Polygon | Circle | Runs | Crop


@dataclass(frozen=True)
class DrawnMask(Entry):
    """A mask drawn from shapes; read as a PNG file.

    Attributes:
        label: Name of its image.
        shapes: Shapes in the lesion.
        width: Width in pixels.
        height: Height in pixels.
        fault: What is wrong with the annotation, and how to correct it; empty if nothing is.
    """

    label: str = ""
    shapes: tuple[Shape, ...] = ()
    width: int = 0
    height: int = 0
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
        check_size(self.width, self.height, str(self))
        mask = np.zeros((self.height, self.width), bool)
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
        facts = repr((self.shapes, self.width, self.height, self.fault))
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


def _path(entry: Entry) -> PurePosixPath:
    path = PurePosixPath(entry.path.as_posix())
    return path if entry.member is None else path / entry.member


def read_annotations(entry: Entry) -> Any:
    """Return the content of a JSON file. Raises UserError if it is not JSON."""
    try:
        return json.loads(entry.read().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{entry} is not JSON ({error}); export the annotations again") from error


def require_one_label(labels: Iterable[str], root: Path, what: str) -> None:
    """Raise UserError if shapes have several labels, of which it is unknown which are the lesion."""
    found = sorted(set(labels))
    if len(found) > 1:
        raise UserError(
            f"the annotations in {root} have the {what} {', '.join(found)}; "
            f"keep the shapes of one, so that it is known which are the lesion"
        )
