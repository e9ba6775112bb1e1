from dataclasses import replace

import pytest

from mlffm_segdiff.study.report import read_results
from mlffm_segdiff.study.report.comparisons import against_baseline, comparison_table
from mlffm_segdiff.study.report.score_tables import run_table, score_table
from mlffm_segdiff.study.study_folder import StudyFolder


def test_scores_are_means_and_spreads_over_seeds(finished: StudyFolder) -> None:
    study = read_results(finished.path)
    table = score_table(study, "source")
    assert len(table.numbers) == 3 * 2 * 2  # variants, data sets, evaluations
    assert len(table.shown) == 3 * 2
    assert "Evaluation 'steps_2'" in table.text
    rows = study.main_rows()
    own = rows[(rows["dataset"] == "lesions") & (rows["variant"] == "full")]
    by_seed = own.groupby("seed")
    first = table.numbers.iloc[0]
    assert (first["variant"], first["data set"], first["seeds"], first["images"]) == ("full", "lesions", 3, 8)
    means = by_seed["jaccard"].mean()
    assert first["jaccard per image, mean"] == pytest.approx(means.mean())
    assert first["jaccard per image, sd"] == pytest.approx(means.std())
    sums = by_seed[["tp", "fp", "fn"]].sum()
    pooled = sums["tp"] / sums.sum(axis=1)
    assert first["jaccard pooled, mean"] == pytest.approx(pooled.mean())
    assert first["jaccard pooled, sd"] == pytest.approx(pooled.std())
    shown = table.shown.iloc[0]
    assert shown["Jaccard, per image"] == f"{means.mean():.4f} ± {means.std():.4f}"
    assert shown["Jaccard, pooled"] == f"{pooled.mean():.4f} ± {pooled.std():.4f}"


def test_the_only_data_set_with_scores_is_named_if_the_study_has_others(finished: StudyFolder) -> None:
    study = read_results(finished.path)
    one = replace(study, scores=study.scores[study.scores["dataset"] == "lesions"])
    found = against_baseline(one, "jaccard", "source")
    compared = comparison_table(one, found, "name", "Caption.", "jaccard", "variant")
    for table in (score_table(one, "source"), compared):
        assert set(table.shown["data set"]) == {"lesions"}
    only = replace(one, datasets=["lesions"])
    assert "data set" not in score_table(only, "source").shown
    assert "data set" not in comparison_table(only, found, "name", "Caption.", "jaccard", "variant").shown


def test_what_was_run_counts_what_is_missing(unfinished: StudyFolder) -> None:
    table = run_table(read_results(unfinished.path))
    assert table.numbers["seeds finished"].tolist() == [3, 2, 2]
    assert table.numbers["of"].tolist() == [3, 3, 3]
    assert table.numbers["minutes per run"].tolist() == [1.5] * 3
    assert table.shown.columns[0] == "variant"
