import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.evaluation.figures import OutlinedCase
from mlffm_segdiff.study.plan import read_plan
from mlffm_segdiff.study.report import figure_sections, write_report
from mlffm_segdiff.study.report.scored_images import ScoredImages
from mlffm_segdiff.study.score_frame import CellResult
from mlffm_segdiff.study.study_folder import StudyFolder


@pytest.fixture(scope="module")
def ablation(finished: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(shutil.copytree(finished.path, tmp_path_factory.mktemp("ablation") / "my study"))


@pytest.fixture(scope="module")
def comparison(unfinished: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(shutil.copytree(unfinished.path, tmp_path_factory.mktemp("comparison") / "study"))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_ablation_has_all_its_figures_and_tables(ablation: Path) -> None:
    by_dataset = (
        "curves", "areas", "by_lesion_size", "by_contrast", "by_skin_tone", "worst", "fusion", "fusion_maps"
    )  # fmt: skip
    figures = {f"{kind}_{name}.png" for kind in by_dataset for name in ("lesions", "by_image")}
    assert names(ablation / "figures") == figures | {"forest.png", "datasets.png"}
    for path in (ablation / "figures").iterdir():
        with Image.open(path) as figure:
            assert figure.width >= 900  # page width
    tables = {"runs", "scores_source", "scores_network", "baseline_jaccard_source", "evaluations", "splits"}
    assert {f"{name}.{ending}" for name in tables for ending in ("csv", "tex")} <= names(ablation / "tables")


def test_the_pages_say_what_came_out(ablation: Path) -> None:
    page = (ablation / "report.md").read_text()
    assert "- without MLFFM against 'full' on lesions: worse (-0." in page
    assert "- uniform weights against 'full' on lesions: no significant difference (+0.0000" in page
    assert "Not finished" not in page
    assert not re.search("^Left out for", page, re.MULTILINE)
    numbers = pd.read_csv(ablation / "tables" / "baseline_jaccard_source.csv")
    shown = f"{numbers['difference'][0]:+.4f}"
    assert shown in page
    assert shown in (ablation / "report.html").read_text()
    assert shown in (ablation / "tables" / "baseline_jaccard_source.tex").read_text()


def test_every_figure_is_linked_and_names_the_command_that_makes_it(ablation: Path) -> None:
    page = (ablation / "report.md").read_text()
    linked = re.findall(r"!\[.*?\]\(figures/(.*?)\)\n\n(.*)\n", page)
    assert {name for name, _ in linked} == names(ablation / "figures")
    command = f"mlffm-segdiff study report '{ablation.parent}'"
    assert all(caption.endswith(f"Made by: {command}") for _, caption in linked)


def test_the_html_page_begins_with_links_to_its_sections(ablation: Path) -> None:
    page = (ablation / "report.html").read_text()
    contents = page.partition("<nav>")[2].partition("</nav>")[0]
    links = re.findall(r'<a href="#([^"]+)">([^<]+)</a>', contents)
    assert links == re.findall(r'<h2 id="([^"]+)">([^<]+)</h2>', page)
    assert len({anchor for anchor, _ in links}) == len(links) > 3


def test_the_html_page_loads_nothing_from_outside(ablation: Path) -> None:
    page = (ablation / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"#][^"]{0,29})', page)
    assert len(sources) == len(names(ablation / "figures"))
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://|@import|url\(", page)


def test_an_unfinished_comparison_lists_what_is_missing_and_reports_the_rest(comparison: Path) -> None:
    page = (comparison / "report.md").read_text()
    assert "2 of 9 training runs are missing" in page
    assert "- uniform weights, gone, seed 0: not finished" in page
    assert "## All variants" in page
    assert re.search("^Left out for gone: ", page, re.MULTILINE)  # the images
    assert "Contrast and skin tone are left out for gone: " in page
    assert {"curves_gone.png", "by_lesion_size_gone.png", "ranks_gone.png"} <= names(comparison / "figures")
    assert "worst_gone.png" not in names(comparison / "figures")
    friedman = pd.read_csv(comparison / "tables" / "friedman.csv")
    assert friedman["images"].tolist() == [8]
    assert friedman["seeds"].astype(str).tolist() == ["1"]  # seeds 0 and 2 lack a variant each
    ranks = pd.read_csv(comparison / "tables" / "ranks.csv").set_index("variant")["gone"]
    assert ranks.to_dict() == {"full": 1.5, "without MLFFM": 3, "uniform weights": 1.5}  # the second is worst


def test_a_report_replaces_its_files_and_keeps_those_of_others(
    fabricate: Callable[..., StudyFolder], lesions: Path
) -> None:
    folder = fabricate(
        seeds=[0],
        evaluations={"one": [], "two": ["sampling.steps=2"]},
        datasets={"lesions": {"source": "folder"}},
        sources={"lesions": lesions},
    )
    report = write_report(folder.path)
    assert "evaluations.csv" in names(report / "tables")
    (report / "tables" / "notes.csv").write_text("mine")
    plan = json.loads(folder.plan.read_text())
    folder.plan.write_text(json.dumps({**plan, "evaluations": {"one": []}}))
    write_report(folder.path)
    assert names(report / "tables") >= {"notes.csv", "scores_source.csv"}
    assert not [name for name in names(report / "tables") if name.startswith("evaluations.")]


def test_a_study_of_one_variant_compares_nothing(fabricate: Callable[..., StudyFolder]) -> None:
    folder = fabricate(seeds=[0], variants={"full": {"recipe": "synthetic"}})
    page = (write_report(folder.path) / "report.md").read_text()
    assert "## Scores" in page
    assert "baseline`" not in page
    assert "Against the baseline" not in page


def test_worst_cases_are_segmented_at_the_size_of_each_variant(
    fabricate: Callable[..., StudyFolder], lesions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {}

    def outline(one: CellResult, overrides: Sequence[str], images: ScoredImages) -> list[OutlinedCase]:
        sizes[one.cell.variant] = images.pairs.images.shape[1]
        return []

    monkeypatch.setattr(figure_sections, "outline", outline)
    larger = {"recipe": "synthetic", "overrides": ["data.size=64"]}
    folder = fabricate(
        seeds=[0],
        gains={"full": 0.0, "larger": 0.0},
        variants={"full": {"recipe": "synthetic"}, "larger": larger},
        datasets={"lesions": {"source": "folder"}},
        sources={"lesions": lesions},
    )
    write_report(folder.path)
    assert sizes == {"full": 32, "larger": 64}


def test_a_data_set_with_few_images_has_no_tests(fabricate: Callable[..., StudyFolder]) -> None:
    """Four test images: no p-value can be below 0.05, so nothing is said about significance."""
    report = write_report(fabricate(seeds=[0], rank=True).path)
    page = (report / "report.md").read_text()
    assert "Tests are left out for synthetic: with fewer than 6 images" in page
    assert "Not ranked: synthetic (fewer than 6 images in common)." in page
    assert "significant" not in page
    assert not {"baseline_jaccard_source.csv", "friedman.csv"} & names(report / "tables")
    assert (report / "tables" / "scores_source.csv").is_file()


def test_a_study_with_nothing_finished_lists_what_is_to_do(fabricate: Callable[..., StudyFolder]) -> None:
    every = tuple(
        (variant, "synthetic", seed)
        for variant in ("full", "without MLFFM", "uniform weights")
        for seed in (0, 1, 2)
    )
    folder = fabricate(every)
    key = read_plan(folder.plan).cells[0].key
    folder.cell(key).path.mkdir(parents=True)
    folder.cell(key).failed.write_text("Traceback")
    page = (write_report(folder.path) / "report.md").read_text()
    assert "9 of 9 training runs are missing" in page
    assert "- full, synthetic, seed 0: failed (Traceback)" in page
    assert "No cell is finished yet" in page


def test_the_report_lists_the_threads_of_each_cell(fabricate: Callable[..., StudyFolder]) -> None:
    """Cells that were copied from another study have other threads than this study's plan."""
    folder = fabricate(seeds=[0])
    for cell, threads in zip(read_plan(folder.plan).cells, (2, 4), strict=False):
        finished = folder.cell(cell.key).finished
        finished.write_text(json.dumps(json.loads(finished.read_text()) | {"threads": threads}))
    page = (write_report(folder.path) / "report.md").read_text()
    assert "ran with: threads per training 2 and 4, python 3.11.7, " in page


def test_a_folder_without_a_study_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a study folder, it has no plan\.json"):
        write_report(tmp_path)
