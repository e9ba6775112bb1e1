import json
from pathlib import Path

import pandas as pd
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.plan import StudyPlan, read_plan
from mlffm_segdiff.study.score_frame import (
    COLUMNS,
    CellResult,
    common_seeds,
    image_means,
    image_table,
    pooled_scores,
    read_scores,
    seed_means,
)
from mlffm_segdiff.study.study_folder import StudyFolder
from mlffm_segdiff.study.transfer import share_study


def rows(*values: tuple[str, int, str, float]) -> pd.DataFrame:
    """Scores from (variant, seed, id, jaccard)."""
    return pd.DataFrame(values, columns=["variant", "seed", "id", "jaccard"])


def cells_of(folder: StudyFolder, plan: StudyPlan) -> list[CellResult]:
    return [CellResult(cell, folder.cell(cell.key)) for cell in plan.cells]


def counted(variant: str, seed: int, tp: int, fp: int, fn: int, tn: int) -> dict[str, object]:
    counts = {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    arm = {"dataset": "d", "evaluation": "e", "resolution": "source", "variant": variant, "seed": seed}
    return arm | counts | {"jaccard": tp / (tp + fp + fn)}


def test_a_finished_study_reads_as_two_rows_an_image(whole: StudyFolder) -> None:
    plan = read_plan(whole.plan)
    cells = cells_of(whole, plan)
    found = read_scores(cells, list(plan.evaluations))
    assert list(found.columns) == list(COLUMNS)
    assert len(found) == 2 * 2 * 1 * 4 * 2  # variants, seeds, data sets, test images, resolutions
    written = pd.read_csv(whole.cell(cells[0].cell.key).scores("recipe") / "cases.csv")
    own = found[(found["variant"] == "full") & (found["seed"] == 0)]
    for resolution, prefix in (("source", ""), ("network", "network_")):
        same = own[own["resolution"] == resolution]
        assert same["jaccard"].tolist() == written[f"{prefix}jaccard"].tolist()
        assert same["tn"].tolist() == written[f"{prefix}tn"].tolist()
    assert set(found["dataset"]) == {"synthetic"}


def test_a_damaged_case_table_is_a_user_error_that_names_it(whole: StudyFolder, tmp_path: Path) -> None:
    plan = read_plan(whole.plan)
    folder = StudyFolder(tmp_path)
    (one,) = cells_of(folder, plan)[:1]
    scores = one.folder.scores("recipe")
    scores.mkdir(parents=True)
    (scores / "summary.json").write_text(json.dumps({"source": {"cases": 1}}))
    one.folder.finished.write_text("{}")
    for text in ("id,jaccard\na,0.5\n", ""):
        (scores / "cases.csv").write_text(text)
        with pytest.raises(UserError, match=r"cases\.csv is not a case table .*run the study again"):
            read_scores([one], ["recipe"])


@pytest.mark.parametrize(
    "damage", ["a text for a score", "a row twice", "half of the rows", "half of the last row"]
)
def test_a_case_table_has_numbers_for_each_image_once(
    damage: str, copied: StudyFolder, tmp_path: Path
) -> None:
    one = cells_of(copied, read_plan(copied.plan))[0]
    path = one.folder.scores("recipe") / "cases.csv"
    head, *lines = path.read_text().splitlines()
    lines[0] = lines[0].replace("0.", "abc.") if damage == "a text for a score" else lines[0]
    lines = lines + lines[:1] if damage == "a row twice" else lines
    lines = lines[: len(lines) // 2] if damage == "half of the rows" else lines
    lines[-1] = lines[-1][: len(lines[-1]) // 2] if damage == "half of the last row" else lines[-1]
    path.write_text("\n".join([head, *lines, ""]))
    with pytest.raises(UserError, match=r"cases\.csv is not a case table .*run the study again"):
        read_scores([one], ["recipe"])
    with pytest.raises(UserError, match=r"cases\.csv is not a case table"):
        share_study(copied, tmp_path / "shared")


def test_nothing_finished_is_an_empty_table_with_its_columns(whole: StudyFolder, tmp_path: Path) -> None:
    cells = cells_of(StudyFolder(tmp_path), read_plan(whole.plan))
    assert list(read_scores(cells, ["recipe"]).columns) == list(COLUMNS)


def test_images_are_averaged_over_the_seeds_that_all_have() -> None:
    scores = rows(
        ("full", 0, "a", 0.8),
        ("full", 1, "a", 0.6),
        ("full", 2, "a", 0.1),
        ("less", 0, "a", 0.7),
        ("less", 1, "a", 0.3),
        ("full", 0, "b", 1.0),
        ("full", 1, "b", 0.5),
        ("full", 2, "b", 0.1),
        ("less", 0, "b", 0.2),
        ("less", 1, "b", 0.4),
    )
    assert common_seeds(scores) == [0, 1]
    found = image_table(scores, "jaccard")
    assert list(found.columns) == ["full", "less"]
    assert found.loc["a"].tolist() == pytest.approx([0.7, 0.5])
    assert found.loc["b"].tolist() == pytest.approx([0.75, 0.3])
    assert image_means(scores, "jaccard").loc["a"].tolist() == pytest.approx([0.5, 0.5])


def test_an_image_missing_in_a_run_is_left_out() -> None:
    scores = rows(("z", 0, "a", 0.8), ("z", 0, "b", 0.8), ("y", 0, "a", 0.7))
    found = image_table(scores, "jaccard")
    assert found.index.tolist() == ["a"]
    assert list(found.columns) == ["z", "y"]


def test_without_a_seed_in_common_there_is_no_table_row() -> None:
    scores = rows(("full", 0, "a", 0.8), ("less", 1, "a", 0.7))
    assert common_seeds(scores) == []
    assert common_seeds(scores.iloc[:0]) == []


def test_pooled_and_per_image_scores_by_hand() -> None:
    """Jaccard 1/2 and 90/100 on two images: per image 0.7, pooled 91/102."""
    scores = pd.DataFrame([counted("full", 0, 1, 1, 0, 98), counted("full", 0, 90, 5, 5, 0)])
    (pooled,) = pooled_scores(scores).to_dict("records")
    assert pooled["jaccard"] == pytest.approx(91 / 102)
    assert pooled["dice"] == pytest.approx(182 / 193)
    assert pooled["accuracy"] == pytest.approx(189 / 200)
    (mean,) = seed_means(scores, ["jaccard"]).to_dict("records")
    assert mean["jaccard"] == pytest.approx(0.7)
    assert (mean["variant"], mean["seed"]) == ("full", 0)
