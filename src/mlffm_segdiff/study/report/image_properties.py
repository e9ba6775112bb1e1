"""Properties of the scored images, which scores may depend on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.data.lesion_contrast import lesion_contrast
from mlffm_segdiff.data.skin_tone import TONES, tone_name, typology_angle
from mlffm_segdiff.files.atomic import write_text
from mlffm_segdiff.files.csv_text import unguarded
from mlffm_segdiff.metrics.thirds import thirds
from mlffm_segdiff.study.report.document import frame_csv
from mlffm_segdiff.study.report.scored_images import ScoredImages, open_images
from mlffm_segdiff.study.report.study_results import StudyResults

SIZE, CONTRAST, TONE = MEASURED = ("lesion size", "contrast", "skin tone")
"""Names of the properties that every study has."""
MEASURES = {"contrast": lesion_contrast, "typology_angle": typology_angle}
COLUMNS = ("dataset", "id", *MEASURES)


@dataclass(frozen=True)
class ImageProperty:
    """A property of the images of a data set.

    Attributes:
        name: Name of the property.
        label: Name with the unit.
        groups: Group of each image by id, a category in the order to show; other images are left out.
        values: Value of each image by id, if it is a number.
    """

    name: str
    label: str
    groups: pd.Series
    values: pd.Series | None = None


def in_thirds(name: str, label: str, values: pd.Series, digits: int = 1) -> ImageProperty:
    """Return a property whose groups are thirds of the images; equal values are in the same one.

    Args:
        name: Name of the property.
        label: Name with the unit.
        values: Finite numbers by id; NaN is left out.
        digits: Digits after the point in the names of the groups, more where two names would be equal.
    """
    known = values.dropna()
    number = pd.Series(thirds(known.to_numpy()), index=known.index)
    ends = known.groupby(number).agg(["min", "max"])
    names = _range_names(list(ends.itertuples(index=False, name=None)), digits)
    groups = number.map(dict(zip(ends.index, names, strict=True)))
    return ImageProperty(name, label, groups.astype(pd.CategoricalDtype(names, ordered=True)), known)


def skin_tones(angles: pd.Series) -> ImageProperty:
    """Return the skin tone, grouped by the names of `tone_name`."""
    known = angles.dropna()
    found = [tone_name(angle) for angle in known]
    shown = [tone for tone in TONES if tone in found]
    groups = pd.Series(pd.Categorical(found, shown, ordered=True), index=known.index)
    label = "individual typology angle of the skin, degrees (high is light)"
    return ImageProperty(TONE, label, groups, known)


def measured_properties(study: StudyResults, dataset: str) -> list[ImageProperty]:
    """Return contrast and skin tone of a data set's scored images.

    They are measured once, on the images at the network's input size, and kept in the study's images.csv,
    which may have further images.

    Raises:
        UserError: If images.csv does not have all of the images and they are not available, or if the file
            cannot be read.
    """
    path = study.folder.images
    known = _read_measured(path) if path.is_file() else pd.DataFrame(columns=list(COLUMNS))
    own = known[known["dataset"] == dataset]
    scored = study.main_rows().query("dataset == @dataset")["id"].drop_duplicates()
    if not scored.isin(own["id"]).all():
        cell = next(one.cell for one in study.finished if one.cell.dataset == dataset)
        own = _measure(open_images(cell, study.plan.part)).assign(dataset=dataset)[list(COLUMNS)]
        others = known[known["dataset"] != dataset]
        write_text(path, frame_csv(pd.concat([others, own]) if len(others) else own))
    values = own[own["id"].isin(scored)].set_index("id")
    contrast = in_thirds(CONTRAST, "contrast of lesion and skin, CIEDE2000", values["contrast"])
    return [contrast, skin_tones(values["typology_angle"])]


def file_stem(name: str) -> str:
    """Return the name of a property as part of a file's name."""
    return re.sub(r"\W+", "_", name).casefold()


def _range_names(ranges: Sequence[tuple[float, float]], digits: int) -> list[str]:
    """Format ranges, with more digits where two names would be equal."""
    texts = [[f"{end:.{digits}f}" for end in one] for one in ranges]
    names = [low if low == high else f"{low} to {high}" for low, high in texts]
    return names if len(set(names)) == len(names) else _range_names(ranges, digits + 1)


def _measure(images: ScoredImages) -> pd.DataFrame:
    pairs = images.pairs
    rows = [
        (key, *(round(measure(np.asarray(image), np.asarray(mask) > 0), 2) for measure in MEASURES.values()))
        for key, image, mask in zip(pairs.ids, pairs.images, pairs.masks, strict=True)
    ]
    return pd.DataFrame(rows, columns=["id", *MEASURES])


def _read_measured(path: Path) -> pd.DataFrame:
    names = dict.fromkeys(("dataset", "id"), unguarded)
    try:
        table = pd.read_csv(path, converters=names, dtype=dict.fromkeys(MEASURES, float))
        return table[list(COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} cannot be read ({reason_of(error)}); delete it and write the report again"
        ) from None
