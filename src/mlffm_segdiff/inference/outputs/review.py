"""A page of all cases of a run, the least certain first; any browser opens it without a server."""

import json
import os
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, ClassVar
from urllib.parse import quote

from jinja2 import Environment, PackageLoader
from PIL import Image

from mlffm_segdiff.data.files import Pixels
from mlffm_segdiff.files.atomic import write_parts
from mlffm_segdiff.inference.confidence import FLAGS
from mlffm_segdiff.inference.estimates import ContourBand, Ends, with_interval
from mlffm_segdiff.inference.masks import nearest_mask
from mlffm_segdiff.inference.outputs.image_file import save_image
from mlffm_segdiff.inference.outputs.overlay import draw_band, draw_outline
from mlffm_segdiff.inference.outputs.predictions import COLUMNS, Intervals, Row, row_values
from mlffm_segdiff.inference.outputs.spool import Spool
from mlffm_segdiff.inference.outputs.writers import Kept, Output, Writer
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.overlap import Mask

FOLDER = "review"
THUMBNAIL_SIDE = 320
SHOWN = ("area", "components", "equivalent_diameter_mm", "asymmetry_major", "colours")
MARKS = ("failed", "refused", "incomplete", *FLAGS)


class ReviewWriter(Writer):
    """review.html, and review/NAME.jpg, thumbnails with the outline, and the band if there is one."""

    run_files: ClassVar = ("review.html",)

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._cards = Spool()
        self._intervals = Intervals()

    def case_files(self, stem: str) -> tuple[str, ...]:
        """Return the file of the thumbnail."""
        return (f"{FOLDER}/{stem}.jpg",)

    def write(self, result: CaseResult) -> None:
        """Write the thumbnail."""
        if result.image.view is not None:
            image = thumbnail(result.image.view, result.mask, result.band)
            save_image(image, *self.paths(result.image.stem))

    def add_row(self, row: Row, kept: Kept) -> None:
        """Add the card of a case; its thumbnail links to the overlay, if there is one, or to the mask."""
        del kept
        if row.intervals.interval_level is not None:
            self._intervals = row.intervals
        target = f"overlays/{row.stem}.jpg" if "overlay" in self.output.write else f"masks/{row.stem}.png"
        address = None if row.failed else f"{FOLDER}/{row.stem}.jpg"
        self._cards.add(card_html(row, len(self._cards) + 1, address, target), by_uncertainty(row))

    def close(self) -> None:
        """Write the page."""
        page = (
            _environment()
            .get_template("review_page.html")
            .generate(
                count=len(self._cards),
                cards=self._cards,
                marks=MARKS,
                intervals=self._intervals,
                columns=COLUMNS,
                style=_asset("review_page.css"),
                script=_asset("review_page.js"),
            )
        )
        write_parts(self.output.folder / self.run_files[0], page)


def thumbnail(view: Pixels, mask: Mask, band: ContourBand | None = None) -> Image.Image:
    """Return a small image with the outline of its mask, no side above THUMBNAIL_SIDE.

    Args:
        view: hxwx3 uint8 RGB, see `view_of`.
        mask: HxW bool, of the image's own size.
        band: Inner and outer contour, to be shown too.
    """
    image = Image.fromarray(view)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    if band is not None:
        draw_band(image, nearest_mask(band.between, image.height, image.width))
    draw_outline(image, nearest_mask(mask, image.height, image.width))
    return image


def by_uncertainty(row: Row) -> tuple[bool, float, str]:
    """Return the sort key of the page: failed images first, then the least certain."""
    return not row.failed, row.certainty or 0.0, row.image


def card_html(row: Row, position: int, address: str | None, target: str) -> str:
    """Return the list item of a case.

    Args:
        row: Table row of the case.
        position: Position of the case on the page, from 1.
        address: Address of the thumbnail, relative to the page; None without one.
        target: Address that the thumbnail links to, relative to the page.
    """
    values = row_values(row)
    name = "certainty" if row.expected_dice is None else "expected_dice"
    return (
        _environment()
        .get_template("review_card.html")
        .render(
            name=values["image"],
            position=position,
            address=address and quote(os.fsencode(address)),
            target=quote(os.fsencode(target)),
            marks=[*([row.status] if row.status != "done" else []), *row.flags.split()],
            error=values["error"],
            confidence=values[name],
            confidence_words=_in_words(values[name], row.intervals.ends(name)),
            confidence_name="expected Dice" if name == "expected_dice" else name,
            area=values["area"],
            brief=[
                f"{_words(key)} {_in_words(values[key], row.intervals.ends(key))}"
                for key in SHOWN
                if values[key] is not None
            ],
            cells=json.dumps(["" if value is None else str(value) for value in values.values()]),
            number=lambda value: "" if value is None else f"{value:.6g}",
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(loader=PackageLoader("mlffm_segdiff.inference", "outputs"), autoescape=True)
    environment.filters.update(words=_words, hash=_hash)
    return environment


def _asset(name: str) -> str:
    return (files("mlffm_segdiff.inference.outputs") / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{b64encode(sha256(content.encode()).digest()).decode()}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _in_words(value: Any, interval: Ends | None) -> str:
    if value is None or (interval is None and not isinstance(value, float)):
        return str(value)
    return with_interval(value, interval)
