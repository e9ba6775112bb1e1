"""Properties of the scored images that a user gives in a table, by id."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.study import MAX_LETTERS, TITLE, TITLE_LETTERS
from mlffm_segdiff.data.datasets.mask_names import IdLookup, id_hint
from mlffm_segdiff.files.csv_columns import read_table
from mlffm_segdiff.study.report.image_properties import ImageProperty, file_stem, in_thirds

MAX_GROUPS = 20
"""Different texts that a property may have."""
UNKNOWN = ("", "-", "?", "na", "n/a", "nan", "none", "null", "unknown")
"""Fields without a value, in lower case."""


def read_properties(path: Path, ids: Collection[str], measured: Collection[str]) -> dict[str, pd.Series]:
    """Read properties of images from a table of the user.

    Args:
        path: A CSV file with a column id, see `read_table`. Ids may be in any case.
        ids: Ids of the scored images; others are ignored.
        measured: Names of properties that the report has anyway.

    Returns:
        Numbers or texts by id, for each column other than id. Images whose field is one of `UNKNOWN` are
        left out.

    Raises:
        UserError: If the file cannot be read, has lines that contradict each other, none of the images, a
            column whose name cannot be used, one with infinite numbers or decimal commas, one that mixes
            numbers with a few texts, or one of texts with more than `MAX_GROUPS` different ones.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give a CSV file") from error
    rows = _rows_by_image(path, read_table(content, str(path), "id"), ids)
    table = pd.DataFrame.from_dict(rows, orient="index")
    taken = {file_stem(name): name for name in measured}
    for name in table:
        if not re.fullmatch(TITLE, name) or len(name) > MAX_LETTERS:
            raise UserError(
                f"{path}: {name!r} cannot name a property; use at most {MAX_LETTERS} {TITLE_LETTERS}"
            )
        if (same := taken.get(file_stem(name))) is not None:
            raise UserError(f"{path}: column {name!r} has the name of another property, {same!r}; rename it")
        taken[file_stem(name)] = name
    return {name: _numbers_or_texts(path, table[name]) for name in table}


def given_properties(given: Mapping[str, pd.Series], ids: Collection[str]) -> list[ImageProperty]:
    """Return the properties of some images: numbers are grouped in thirds, texts are the groups.

    Args:
        given: Values by id for each property, from `read_properties`.
        ids: Ids of the images of one data set.
    """
    wanted = list(ids)
    return [_given_property(name, values[values.index.isin(wanted)]) for name, values in given.items()]


def _given_property(name: str, values: pd.Series) -> ImageProperty:
    if values.dtype == float:
        return in_thirds(name, name, values, digits=0 if (values % 1 == 0).all() else 2)
    return ImageProperty(name, name, values.astype("category"))


def _rows_by_image(
    table: Path, rows: Iterable[tuple[int, str, dict[str, str]]], ids: Collection[str]
) -> dict[str, dict[str, str]]:
    """Return the rows of a table by the id of their image; rows of other images are ignored."""
    images = IdLookup(ids)
    found: dict[str, dict[str, str]] = {}
    first = ""
    for line, key, row in rows:
        first = first or key
        image = images.find(key)
        if image is not None and found.setdefault(image, row) != row:
            raise UserError(f"{table}, line {line}: {key!r} has an earlier line that differs; keep one")
    if not found:
        hint = id_hint(first, ids)
        raise UserError(f"{table}: no image has the id {first!r} or another of its ids; {hint}")
    return found


def _numbers_or_texts(path: Path, column: pd.Series) -> pd.Series:
    texts = column[~column.str.casefold().isin(UNKNOWN)].str.split().str.join(" ")
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    if (infinite := texts[np.isinf(numbers)]).any():
        raise UserError(f"{path}: column {column.name!r} has {infinite.iloc[0]!r}; leave it empty")
    if numbers.notna().all():
        return numbers
    text = repr(texts[numbers.isna()].iloc[0])
    if pd.to_numeric(texts.str.replace(",", "."), errors="coerce").notna().all():
        raise UserError(f"{path}: column {column.name!r} has {text}; write numbers with a decimal point")
    if numbers.notna().mean() > 0.5:
        raise UserError(
            f"{path}: column {column.name!r} has numbers and the text {text}; leave unknown numbers empty, "
            "and use a decimal point"
        )
    count = texts.nunique()
    if count > MAX_GROUPS:
        raise UserError(
            f"{path}: column {column.name!r} has {count} different texts, such as {text}, but at most "
            f"{MAX_GROUPS} groups can be reported; join groups or remove the column; for numbers, use a "
            "decimal point, and leave unknown ones empty"
        )
    return texts
