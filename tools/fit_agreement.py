"""Fit the prediction of human agreement of the default weights: fit_agreement.py DATA [test]

DATA has the folders isic2018 (the official archives) and agreement, with isic_human_agreement.csv: id and
mean_dice of images that several people outlined. Fits to the ids in the training and validation parts of the
split and writes agreement.json next to the weights. With the word test it writes nothing and prints, in
Markdown, how well the prediction and the certainty only do on the ids of the test part.
"""

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.inference.model import Model, load_model
from mlffm_segdiff.metrics.certainty import fit_calibration
from mlffm_segdiff.metrics.human_agreement import Numbers, fit_agreement, probability_traits
from mlffm_segdiff.segmenters.agreement import AGREEMENT, AgreementPredictor
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.segmenters.saved_weights import DEFAULT, DEFAULT_SHA256, weights_folder

SOURCE = "isic2018"
BATCH = 16
REPEATS = 10000


def main(data: Path, test: bool) -> None:
    """Fit and write the predictor, or print the table of its test."""
    with (data / "agreement/isic_human_agreement.csv").open(encoding="utf-8") as file:
        known = {row["id"]: float(row["mean_dice"]) for row in csv.DictReader(file)}
    weights = load_model(DEFAULT)
    traits, agreement = _cases(weights, data, ("train", "val"), known)
    model = fit_agreement(traits, agreement)
    if not test:
        predictor = AgreementPredictor(source=SOURCE, model=model)
        print(AGREEMENT.write(predictor, weights_folder(DEFAULT), DEFAULT_SHA256))
        return
    baseline = fit_calibration(traits[:, 0].tolist(), agreement.tolist())
    unseen, truth = _cases(weights, data, ("test",), known)
    predicted = np.array([model.expected(one) for one in unseen])
    certain = np.array([baseline.expected_dice(one) for one in unseen[:, 0]])
    constant = np.full(len(truth), model.mean)
    print(f"Fitted to {model.cases} images, tested on {len(truth)}.\n")
    print("| prediction | rank correlation | mean absolute error |\n|:--|--:|--:|")
    for name, ranks, values in (
        ("`expected_human_agreement`", predicted, predicted),
        ("certainty only", unseen[:, 0], certain),
        ("mean of the training ids", None, constant),
    ):
        rank = "" if ranks is None else _interval(lambda rows, r=ranks: _rank(r[rows], truth[rows]), truth)
        error = _interval(lambda rows, v=values: _error(v[rows], truth[rows]), truth)
        print(f"| {name} | {rank} | {error} |")
    ranks = _interval(
        lambda rows: _rank(predicted[rows], truth[rows]) - _rank(unseen[rows, 0], truth[rows]), truth
    )
    errors = _interval(
        lambda rows: _error(predicted[rows], truth[rows]) - _error(certain[rows], truth[rows]), truth
    )
    print(f"| difference from certainty only | {ranks} | {errors} |")


def _cases(
    weights: Model, data: Path, names: tuple[str, ...], known: dict[str, float]
) -> tuple[Numbers, Numbers]:
    """Return traits and agreement of the images in parts of the split that several people outlined."""
    recipe = load_recipe(SOURCE, [f"data.sources.{SOURCE}={data / SOURCE}"])
    parts, traits, agreement = load_split_cases(recipe.data), [], []
    for name in names:
        pairs = open_split(parts, name, weights.size)
        rows = [row for row, case in enumerate(pairs.ids) if case in known]
        agreement += [known[pairs.ids[row]] for row in rows]
        for start in range(0, len(rows), BATCH):
            images = np.asarray(pairs.images[rows[start : start + BATCH]])
            found = weights.segment(list(images), lambda _: None)
            traits += [probability_traits(one.probability) for one in found]
    return np.array(traits), np.array(agreement)


def _rank(predicted: Numbers, truth: Numbers) -> float:
    return float(spearmanr(predicted, truth).statistic)


def _error(predicted: Numbers, truth: Numbers) -> float:
    return float(np.abs(predicted - truth).mean())


def _interval(statistic: Callable[[Numbers], float], truth: Numbers) -> str:
    """Return a statistic of cases with its 95 % percentile bootstrap interval."""
    generator, count = np.random.default_rng(0), len(truth)
    drawn = [statistic(generator.integers(0, count, count)) for _ in range(REPEATS)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{statistic(np.arange(count)):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:] == ["test"])
