"""Tables of scores: what was run, and each variant's scores per image and pooled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import pandas as pd

from mlffm_segdiff.study.report.study import Studied
from mlffm_segdiff.study.report.table import Table, without_constant
from mlffm_segdiff.study.report.words import ends, number, spread
from mlffm_segdiff.study.scores import image_means, pooled_scores, seed_means
from mlffm_segdiff.study.statistics.intervals import bca_interval, seed_spread

PER_IMAGE = (
    "jaccard",
    "dice",
    "accuracy",
    "precision",
    "recall",
    "boundary_dice",
    "hd95",
    "hd95_percent",
    "assd",
)
POOLED = ("jaccard", "dice", "accuracy", "precision", "recall")
READING = (
    "Mean ± standard deviation over seeds. Per image: each image counts alike; the 95 % BCa bootstrap "
    "interval is over images, each averaged over seeds first. Pooled: scores of the pixel counts summed over "
    "all images, so that each pixel counts alike and large lesions weigh more."
)
MINUTES = "minutes a run"
WHERE = {"source": "at each true mask's own size", "network": "at the network's size"}


def run_table(study: Studied) -> Table:
    """Return what was trained: one row a variant and data set."""
    rows = []
    for dataset in study.datasets:
        for variant in study.variants:
            cells = [one for one in study.cells if (one.cell.variant, one.cell.dataset) == (variant, dataset)]
            done = [one for one in cells if one.finished]
            records = [one.folder.record() for one in done]
            minutes = [one["training_seconds"] / 60 for one in records if not one["resumed"]]
            seen = {one["images"] for one in records}
            rows.append(
                {
                    study.noun: variant,
                    "data set": dataset,
                    "seeds finished": len(done),
                    "of": len(cells),
                    "failed": sum(one.failed for one in cells),
                    "images seen in training": "/".join(map(str, sorted(seen))),
                    MINUTES: sum(minutes) / len(minutes) if minutes else float("nan"),
                }
            )
    numbers = pd.DataFrame(rows)
    shown = numbers.assign(**{MINUTES: numbers[MINUTES].map(lambda value: number(value, 1))})
    return Table(
        "runs",
        "Trainings. Minutes: of training, of the runs that were not interrupted.",
        numbers,
        shown.astype(str),
    )


def score_table(study: Studied, resolution: str) -> Table:
    """Return each variant's scores, per image and pooled, over seeds.

    numbers: of every evaluation; shown: of the one that leads.
    """
    found = [_score_row(study, rows) for rows in _arms(study, resolution)]
    numbers = pd.DataFrame([row for row, _ in found])
    shown = pd.DataFrame([text for row, text in found if row["evaluation"] == study.evaluation])
    rest = (
        "" if len(study.evaluations) < 2 else f" Evaluation {study.evaluation!r}; the others are in the CSV."
    )
    caption = f"Scores on part {study.part!r}, {WHERE[resolution]}.{rest}"
    return Table(f"scores_{resolution}", caption, numbers, without_constant(shown, ("data set",)))


def _arms(study: Studied, resolution: str) -> Iterator[pd.DataFrame]:
    """Yield the rows of each data set, evaluation and variant in the study's order."""
    rows = study.select(resolution=resolution)
    groups = dict(list(rows.groupby(["dataset", "evaluation", "variant"], sort=False)))
    for key in product(study.datasets, study.evaluations, study.variants):
        if key in groups:
            yield groups[key]


def _score_row(study: Studied, rows: pd.DataFrame) -> tuple[dict[str, object], dict[str, str]]:
    """Return the scores of one variant on one data set in one evaluation, as numbers and as text."""
    variant, dataset, evaluation = (rows[name].iloc[0] for name in ("variant", "dataset", "evaluation"))
    images = {name: image_means(rows, name)[variant].to_numpy() for name in ("jaccard", "dice")}
    interval = {name: bca_interval(values) for name, values in images.items()}
    means, pooled = seed_means(rows, PER_IMAGE), pooled_scores(rows)
    by_image = {name: seed_spread(means[name]) for name in PER_IMAGE}
    by_pixel = {name: seed_spread(pooled[name]) for name in POOLED}
    label = {study.noun: variant, "data set": dataset}
    sizes = {"seeds": rows["seed"].nunique(), "images": len(images["jaccard"])}
    numbers = {
        **label,
        "evaluation": evaluation,
        **sizes,
        **_flat(by_image, "per image", ("mean", "sd")),
        **_flat(interval, "per image", ("low", "high")),
        **_flat(by_pixel, "pooled", ("mean", "sd")),
    }
    shown = {
        **label,
        **{name: str(value) for name, value in sizes.items()},
        "Jaccard, per image": spread(by_image["jaccard"]),
        "95 % interval": ends(interval["jaccard"]),
        "Dice, per image": spread(by_image["dice"]),
        "Jaccard, pooled": spread(by_pixel["jaccard"]),
        "Dice, pooled": spread(by_pixel["dice"]),
        "boundary Dice, per image": spread(by_image["boundary_dice"]),
        "HD95 (% of diagonal)": spread(by_image["hd95_percent"], 2),
    }
    return numbers, shown


def _flat(found: Mapping[str, object], how: str, parts: Sequence[str]) -> dict[str, float | None]:
    return {f"{name} {how}, {part}": getattr(one, part) for name, one in found.items() for part in parts}
