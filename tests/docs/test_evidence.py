"""The tables of EVIDENCE.md and its details page are those of the published scores."""

import json
import re
from importlib import import_module
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "EVIDENCE.md").read_text(encoding="utf-8")
DETAILS = (DOCS / "evidence" / "details.md").read_text(encoding="utf-8")
STUDIES = sorted(path.parent for path in (DOCS / "evidence").glob("*/plan.json"))


def rows(table: str, page: str) -> list[list[str]]:
    """The cells of a table of a page, without its header."""
    found = re.search(rf"<!-- table {table} -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert found
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in found[1].splitlines()[2:]]


def runs(variant: str, dataset: str) -> list[pd.DataFrame]:
    """The published scores of each seed of a variant of the study `evidence`, one row per test image."""
    study = DOCS / "evidence" / "evidence"
    cells = json.loads((study / "plan.json").read_text(encoding="utf-8"))["cells"]
    keys = [cell["key"] for cell in cells if (cell["variant"], cell["dataset"]) == (variant, dataset)]
    return [pd.read_csv(study / "cells" / key / "scores" / "recipe" / "cases.csv") for key in keys]


def pooled(variant: str, dataset: str) -> str:
    """Jaccard of the summed pixel counts at network size: mean and standard deviation over seeds."""
    counts = [run[["network_tp", "network_fp", "network_fn"]].sum() for run in runs(variant, dataset)]
    scores = [float(one["network_tp"] / one.sum()) for one in counts]
    return f"{mean(scores):.4f} ± {stdev(scores):.4f}"


def per_image(variant: str, dataset: str) -> float:
    """Mean Jaccard of the images at the size of the ground truth, over all seeds."""
    return mean(float(run["jaccard"].mean()) for run in runs(variant, dataset))


def test_pooled_scores_of_the_variants_are_those_of_the_published_counts() -> None:
    for variant, _, isic, _, _, ph2, _, _ in rows("variants", DETAILS):
        assert [isic, ph2] == [pooled(variant, name) for name in ("isic2018", "ph2")]


@pytest.mark.parametrize(
    ("part", "with_it", "without_it"),
    [
        ("MLFFM", "full", "without MLFFM"),
        ("MLFFM in the U-Net", "U-Net with MLFFM", "U-Net"),
        ("a second path for the noisy mask", "without MLFFM", "single path"),
        ("MLFFM in the U-Net instead of an FPN", "U-Net with MLFFM", "FPN"),
        ("diffusion, with one path", "single path", "U-Net"),
        ("all of MLFFM-SegDiff, against the U-Net", "full", "U-Net"),
        ("Kervadec's loss", "Kervadec loss", "plain loss"),
    ],
)
def test_what_a_part_adds_is_the_score_with_it_minus_that_without(
    part: str, with_it: str, without_it: str
) -> None:
    shown = {name: cells for name, *cells in rows("parts", PAGE)}[part]
    for cell, dataset in zip(shown, ("isic2018", "ph2"), strict=False):
        added = per_image(with_it, dataset) - per_image(without_it, dataset)
        assert cell.split()[0].strip("*") == f"{added:+.3f}"


@pytest.mark.slow
def test_the_tables_are_what_the_tool_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS.parent / "tools")
    tool = import_module("evidence_page")
    pages = tool.PAGES
    copies = [tmp_path / page.name for page in pages]
    for page, copy in zip(pages, copies, strict=True):
        copy.write_text(re.sub(r"(?<=[ +-])0\.\d\d\d", "0.123", page.read_text("utf-8")), encoding="utf-8")
    monkeypatch.setattr(tool, "PAGES", copies)
    monkeypatch.setattr(tool, "save_figure", lambda *_: None)
    tool.main()
    for page, copy in zip(pages, copies, strict=True):
        for table in set(re.findall(r"<!-- table (\w+) -->", page.read_text("utf-8"))) - {"agreement"}:
            assert rows(table, copy.read_text("utf-8")) == rows(table, page.read_text("utf-8")), table


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_published_study_has_no_weights_and_no_paths(study: Path) -> None:
    report = study / "report"  # which `study report` makes, and git ignores
    files = [path for path in study.rglob("*") if path.is_file() and report not in path.parents]
    assert {path.suffix for path in files} <= {".csv", ".json"}
    for path in files:
        assert not re.search(r'"(/|~|[A-Z]:\\)', path.read_text(encoding="utf-8")), path
