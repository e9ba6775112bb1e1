"""Properties of the scored images, which scores may depend on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import write_text
from mlffm_segdiff.data.csv_text import unguarded
from mlffm_segdiff.data.lesion_contrast import lesion_contrast
from mlffm_segdiff.data.skin_tone import TONES, tone_name, typology_angle
from mlffm_segdiff.study.report.document import frame_csv
from mlffm_segdiff.study.report.scored_images import ScoredImages, open_images
from mlffm_segdiff.study.report.study_results import StudyResults

MOST_GROUPS = 20
MEASURES = {"contrast": lesion_contrast, "typology_angle": typology_angle}
COLUMNS = ("dataset", "id", *MEASURES)


@dataclass(frozen=True)
class ImageProperty:
    """A property of the images of a data set.

    Attributes:
        name: Its name, also the stem of the figure's file.
        label: Its name with the unit.
        groups: Group of each image by id, an ordered category; other images are left out.
        values: Value of each image by id, if it is a number.
    """

    name: str
    label: str
    groups: pd.Series
    values: pd.Series | None = None


def in_thirds(name: str, label: str, values: pd.Series, digits: int = 1) -> ImageProperty:
    """Return a property whose groups are thirds of the images; equal values are in the same one."""
    known = values.dropna()
    inner = np.unique(np.quantile(known, [1 / 3, 2 / 3])) if len(known) else np.empty(0)
    thirds = pd.Series(np.searchsorted(inner, known), index=known.index)
    ends = known.groupby(thirds).agg(["min", "max"])
    names = {third: f"{low:.{digits}f} to {high:.{digits}f}" for third, low, high in ends.itertuples()}
    groups = thirds.map(names).astype(pd.CategoricalDtype(list(dict.fromkeys(names.values())), ordered=True))
    return ImageProperty(name, label, groups, known)


def skin_tones(angles: pd.Series) -> ImageProperty:
    """Return the skin tone, grouped by the names of `tone_name`."""
    known = angles.dropna()
    found = [tone_name(angle) for angle in known]
    shown = [tone for tone in TONES if tone in found]
    groups = pd.Series(pd.Categorical(found, shown, ordered=True), index=known.index)
    label = "individual typology angle of the skin, degrees (high is light)"
    return ImageProperty("skin tone", label, groups, known)


def measured_properties(study: StudyResults, dataset: str) -> list[ImageProperty]:
    """Return contrast and skin tone of a data set's scored images.

    They are measured once, on the images at the network's input size, and kept in the study's images.csv.

    Raises:
        UserError: If images.csv does not have the data set and the images are not available, or if the file
            cannot be read.
    """
    path = study.folder.images
    known = _read(path) if path.is_file() else pd.DataFrame(columns=list(COLUMNS))
    if missing := [name for name in COLUMNS if name not in known]:
        raise UserError(f"{path} has no column {missing[0]!r}; delete the file and write the report again")
    own = known[known["dataset"] == dataset]
    if own.empty:
        cell = next(one.cell for one in study.finished if one.cell.dataset == dataset)
        own = _measure(open_images(cell, study.plan.part)).assign(dataset=dataset)[list(COLUMNS)]
        write_text(path, frame_csv(own if known.empty else pd.concat([known, own])))
    values = own.set_index("id")[list(MEASURES)].astype(float)
    contrast = in_thirds("contrast", "contrast of lesion and skin, CIEDE2000", values["contrast"])
    return [contrast, skin_tones(values["typology_angle"])]


def read_properties(path: Path) -> list[ImageProperty]:
    """Read properties from a table with a column id: numbers are grouped in thirds, texts are groups.

    Args:
        path: A CSV file.

    Returns:
        A property for each column other than id; empty cells are left out.

    Raises:
        UserError: If the file cannot be read, has no column id or no other, two lines for an image, or a
            column of texts with more than `MOST_GROUPS` different ones.
    """
    table = _read(path)
    if "id" not in table or len(table.columns) < 2:
        raise UserError(
            f"{path} has the columns {', '.join(map(str, table))}; it needs id and at least one property"
        )
    if (repeated := table["id"].duplicated()).any():
        raise UserError(f"{path}: {table['id'][repeated].iloc[0]!r} has several lines; keep one")
    rows = table.set_index("id")
    return [_property(path, str(name), rows[name].dropna()) for name in rows]


def _property(path: Path, name: str, values: pd.Series) -> ImageProperty:
    if pd.api.types.is_numeric_dtype(values):
        return in_thirds(name, name, values.astype(float), digits=2)
    groups = values.astype(str).astype("category")
    if len(groups.cat.categories) > MOST_GROUPS:
        raise UserError(
            f"{path}: column {name!r} has {len(groups.cat.categories)} different texts, but at most "
            f"{MOST_GROUPS} groups can be reported; remove the column, or join groups"
        )
    return ImageProperty(name, name, groups)


def _measure(images: ScoredImages) -> pd.DataFrame:
    pairs = images.pairs
    rows = [
        (key, *(round(measure(np.asarray(image), np.asarray(mask) > 0), 2) for measure in MEASURES.values()))
        for key, image, mask in zip(pairs.ids, pairs.images, pairs.masks, strict=True)
    ]
    return pd.DataFrame(rows, columns=["id", *MEASURES])


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, converters={"id": unguarded})
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as CSV ({reason}); give another file") from None
