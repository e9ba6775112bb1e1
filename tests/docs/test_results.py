"""The published scores of the packaged weights."""

import csv
import json
from pathlib import Path

import pytest

from mlffm_segdiff.segmenters.pretrained import load_pretrained

RESULTS = Path(__file__).parents[2] / "docs" / "results"
SETS = ("isic2018", "ph2", "ham10000")


@pytest.mark.parametrize("name", SETS)
def test_the_sampling_is_that_of_the_packaged_weights(name: str) -> None:
    summary = json.loads((RESULTS / name / "summary.json").read_text(encoding="utf-8"))
    assert summary["sampling"] == load_pretrained("default").sampling.model_dump(mode="json")


@pytest.mark.parametrize("name", SETS)
def test_the_page_has_the_pooled_scores_of_the_cases(name: str) -> None:
    """The Jaccard index, summed here again over the pixel counts of all cases."""
    with (RESULTS / name / "cases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tp, fp, fn = (sum(int(row[f"network_{key}"]) for row in rows) for key in ("tp", "fp", "fn"))
    title = {"isic2018": "ISIC 2018", "ph2": "PH2", "ham10000": "HAM10000"}[name]
    page = (RESULTS.parent / "RESULTS.md").read_text(encoding="utf-8")
    line = next(line for line in page.splitlines() if line.startswith(f"| {title} | {len(rows)} |"))
    assert line.split("|")[3].strip() == f"{tp / (tp + fp + fn):.4f}"
