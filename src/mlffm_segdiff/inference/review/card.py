"""One case as HTML."""

import json
import os
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from mlffm_segdiff.config.products import Product
from mlffm_segdiff.inference.outputs.output import Output
from mlffm_segdiff.inference.reading import FilePicture
from mlffm_segdiff.inference.table import Row, row_values

SHOWN = ("area", "parts", "equivalent_diameter_mm", "asymmetry_major", "colours")


@dataclass(frozen=True)
class Card:
    """A row of the table, and the files that show it, relative to the page; None where there are none.

    picture: the thumbnail. target: what a click on it opens.
    """

    row: Row
    picture: str | None = None
    target: str | None = None


def case_card(row: Row, file: FilePicture, output: Output) -> Card:
    """Return the card of a segmented file; its thumbnail opens the overlay, if written, or the mask."""
    overlay = Product.OVERLAY in output.products
    target = output.overlays / f"{file.name}.jpg" if overlay else output.masks / f"{file.name}.png"
    picture = output.review / f"{file.name}.jpg"
    return Card(
        row,
        picture.relative_to(output.folder).as_posix(),
        target.relative_to(output.folder).as_posix(),
    )


def card_html(card: Card, number: int) -> str:
    """Return the list item of a case; number: of it on the page, from 1."""
    row, name = card.row, text(card.row.image)
    marks = ["failed"] if row.failed else row.flags.split()
    keys = {
        "image": name,
        "flags": " ".join(marks),
        "worth": _number(_worth(row)[1]),
        "area": _number(row.measures.area if row.measures else None),
        "cells": _cells(row),
    }
    data = "".join(f' data-{key}="{escape(value)}"' for key, value in keys.items())
    return (
        f'<li class="case"{data}><article aria-labelledby="case-{number}">'
        f"{_picture(card, name)}"
        f'<div class="told"><h2 id="case-{number}">{escape(name)}</h2>'
        f"{_verdict(row)}{_marks(marks)}{_numbers(row)}</div></article></li>\n"
    )


def text(name: str) -> str:
    """Return a file's name as text, what is none with backslashes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _picture(card: Card, name: str) -> str:
    if card.picture is None:
        return '<p class="missing">no picture</p>'
    image = (
        f'<img src="{_address(card.picture)}" alt="{escape(name)} with its outline" '
        f'loading="lazy" decoding="async">'
    )
    return f'<a href="{_address(card.target)}">{image}</a>' if card.target else image


def _address(path: str) -> str:
    return escape(quote(os.fsencode(path)))


def _worth(row: Row) -> tuple[str, float | None]:
    if row.expected_dice is not None:
        return "expected Dice", row.expected_dice
    return "certainty", row.certainty


def _verdict(row: Row) -> str:
    if row.failed:
        return f'<p class="failure">{escape(text(row.error))}</p>'
    name, value = _worth(row)
    if value is None:
        return ""
    return (
        f'<p class="worth">{name} <strong>{value:.2f}</strong> '
        f'<meter min="0" max="1" value="{value:.4f}" aria-hidden="true"></meter></p>'
    )


def _marks(marks: list[str]) -> str:
    items = "".join(f"<li>{escape(words(mark))}</li>" for mark in marks)
    return f'<ul class="marks" aria-label="flags">{items}</ul>' if items else ""


def words(name: str) -> str:
    """Return a column's or a flag's name as words."""
    return name.replace("_", " ")


def _numbers(row: Row) -> str:
    values = row_values(row)
    shown = [f"{words(name)} {_brief(values[name])}" for name in SHOWN if values[name] is not None]
    return f'<p class="brief">{", ".join(shown)}</p><details><summary>all numbers</summary></details>'


def _cells(row: Row) -> str:
    """Return the row as a JSON array of text, in the order of the table's columns."""
    return json.dumps(["" if value is None else text(str(value)) for value in row_values(row).values()])


def _brief(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
