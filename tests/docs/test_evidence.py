"""The tables of EVIDENCE.md are those of the published scores."""

import json
import re
from importlib import import_module
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "EVIDENCE.md").read_text(encoding="utf-8")
STUDIES = sorted(path.parent for path in (DOCS / "evidence").glob("*/plan.json"))


def rows(table: str, page: str = PAGE) -> list[list[str]]:
    """The cells of a table of the page, without its header."""
    found = re.search(rf"<!-- table {table} -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert found
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in found[1].splitlines()[2:]]


def pooled(study: Path, variant: str, dataset: str, evaluation: str) -> str:
    """Jaccard of the summed pixel counts at network size: mean and standard deviation over seeds."""
    scores = []
    for cell in json.loads((study / "plan.json").read_text(encoding="utf-8"))["cells"]:
        cases = study / "cells" / cell["key"] / "scores" / evaluation / "cases.csv"
        if (cell["variant"], cell["dataset"]) == (variant, dataset) and cases.is_file():
            counts = pd.read_csv(cases)[["network_tp", "network_fp", "network_fn"]].sum()
            scores.append(float(counts["network_tp"] / counts.sum()))
    shown = f"{mean(scores):.4f}" if scores else ""
    return f"{shown} ± {stdev(scores):.4f}" if len(scores) > 1 else shown


def test_pooled_scores_of_the_parts_are_those_of_the_published_counts() -> None:
    study = DOCS / "evidence" / "evidence"
    for variant, _, isic, _, _, ph2, _, _ in rows("parts"):
        assert [isic, ph2] == [pooled(study, variant, name, "recipe") for name in ("isic2018", "ph2")]


@pytest.mark.slow
def test_the_tables_are_what_the_tool_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS.parent / "tools")
    tool = import_module("evidence_page")
    pages = tool.PAGES
    copies = [tmp_path / page.name for page in pages]
    for page, copy in zip(pages, copies, strict=True):
        copy.write_text(re.sub(r"(?<=[ -])0\.\d\d\d\d", "0.1234", page.read_text("utf-8")), encoding="utf-8")
    monkeypatch.setattr(tool, "PAGES", copies)
    monkeypatch.setattr(tool, "save_figure", lambda *_: None)
    tool.main()
    for page, copy in zip(pages, copies, strict=True):
        for table in set(re.findall(r"<!-- table (\w+) -->", page.read_text("utf-8"))) - {"agreement"}:
            assert rows(table, copy.read_text("utf-8")) == rows(table, page.read_text("utf-8")), table


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_published_study_has_no_weights_and_no_paths(study: Path) -> None:
    files = [path for path in study.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".csv", ".json"}
    for path in files:
        assert not re.search(r'"(/|~|[A-Z]:\\)', path.read_text(encoding="utf-8")), path
