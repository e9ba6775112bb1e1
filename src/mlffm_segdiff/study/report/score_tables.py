"""Tables of what was trained, and of each variant's scores per image and pooled."""

from __future__ import annotations

from itertools import product

import pandas as pd

from mlffm_segdiff.evaluation.report import CONTOUR_SCORES, SCORE_LABELS, decimals
from mlffm_segdiff.metrics.intervals import mean_interval
from mlffm_segdiff.study.report.document import Table, without_constant
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.report.study_results import StudyResults
from mlffm_segdiff.study.report.wording import number, over_seeds
from mlffm_segdiff.study.score_frame import image_means, pooled_scores, seed_means, training_minutes

POOLED = ("jaccard", "dice", "accuracy", "precision", "recall")
PER_IMAGE = (*POOLED, *CONTOUR_SCORES)
READING = (
    "Mean ± standard deviation over seeds. Per image: every image has the same weight; the 95 % BCa "
    "bootstrap interval is over images, each averaged over seeds first. Pooled: scores of the pixel counts "
    "summed over all images, so every pixel has the same weight and large lesions weigh more."
)
MINUTES = "minutes per run"
WHERE = {"source": "at the size of each ground truth mask", "network": "at the network's input size"}


def run_table(study: StudyResults) -> Table:
    """Tabulate what was trained: one row per variant and data set."""
    rows = []
    for dataset, variant in product(study.datasets, study.variants):
        cells = [one for one in study.cells if (one.cell.variant, one.cell.dataset) == (variant, dataset)]
        accounts = [one.folder.account() for one in cells if one.finished]
        minutes = training_minutes(cells)
        images = sorted({one["images"] for one in accounts})
        codes = sorted({one["training_code"] for one in accounts})
        rows.append(
            {
                "variant": variant,
                "data set": dataset,
                "seeds finished": len(accounts),
                "of": len(cells),
                "failed": sum(one.failed for one in cells),
                "images seen in training": "/".join(map(str, images)),
                MINUTES: float("nan") if minutes is None else minutes,
                "code": "/".join(codes),
            }
        )
    numbers = pd.DataFrame(rows)
    shown = numbers.assign(**{MINUTES: numbers[MINUTES].map(lambda value: number(value, 1))}).astype(str)
    caption = (
        "Trainings. Minutes: training time of the runs that were not interrupted. Code: digest of the code "
        "that trained."
    )
    return Table("runs", caption, numbers, without_constant(shown, ("code",)))


def score_table(study: ScoredVariants, resolution: str) -> Table:
    """Tabulate each variant's scores; the numbers have every evaluation, the text only the first one."""
    rows = study.select(resolution=resolution)
    groups = dict(list(rows.groupby(["dataset", "evaluation", "variant"], sort=False)))
    keys = [key for key in product(study.datasets, study.evaluations, study.variants) if key in groups]
    first = study.evaluations[0]
    rows_of_all = [_score_row(study.noun, key, groups[key]) for key in keys]
    numbers = pd.DataFrame(values for values, _ in rows_of_all)
    shown = pd.DataFrame(texts for key, (_, texts) in zip(keys, rows_of_all, strict=True) if key[1] == first)
    others = f" Evaluation {first!r}; the others are in the CSV." if len(study.evaluations) > 1 else ""
    caption = f"Scores on {study.subject}, {WHERE[resolution]}.{others}"
    hidden = ["data set"] if len(study.datasets) == 1 else []
    return Table(f"scores_{resolution}", caption, numbers, shown.drop(columns=hidden))


def _score_row(
    noun: str, key: tuple[str, str, str], rows: pd.DataFrame
) -> tuple[dict[str, object], dict[str, str]]:
    """Return the row of a variant as numbers and as text."""
    dataset, evaluation, variant = key
    by_image, by_pixel = seed_means(rows, PER_IMAGE), pooled_scores(rows)
    intervals = {
        name: mean_interval(image_means(rows, name)[variant].to_numpy()) for name in ("jaccard", "dice")
    }
    seeds, images = rows["seed"].nunique(), rows["id"].nunique()
    numbers: dict[str, object] = {
        noun: variant,
        "data set": dataset,
        "evaluation": evaluation,
        "seeds": seeds,
        "images": images,
    }
    for how, table, names in (("per image", by_image, PER_IMAGE), ("pooled", by_pixel, POOLED)):
        for name in names:
            numbers[f"{name} {how}, mean"] = table[name].mean()
            numbers[f"{name} {how}, sd"] = table[name].std()
    for name, interval in intervals.items():
        numbers |= {f"{name} per image, low": interval.low, f"{name} per image, high": interval.high}
    texts = {
        noun: variant,
        "data set": dataset,
        "seeds": str(seeds),
        "images": str(images),
        "Jaccard, per image": over_seeds(by_image["jaccard"]),
        "95 % interval": intervals["jaccard"].ends(),
        "Dice, per image": over_seeds(by_image["dice"]),
        "Jaccard, pooled": over_seeds(by_pixel["jaccard"]),
        "Dice, pooled": over_seeds(by_pixel["dice"]),
        **{SCORE_LABELS[name]: over_seeds(by_image[name], decimals(name)) for name in CONTOUR_SCORES},
    }
    return numbers, texts
