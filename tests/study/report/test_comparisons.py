from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

from mlffm_segdiff.study.report import read_results
from mlffm_segdiff.study.report.comparisons import (
    against_baseline,
    against_first_evaluation,
    comparison_table,
)
from mlffm_segdiff.study.report.score_sections import sentence
from mlffm_segdiff.study.study_folder import StudyFolder


def test_each_variant_is_compared_on_each_data_set(finished: StudyFolder) -> None:
    found = against_baseline(read_results(finished.path), "recall", "source")
    assert [(one.dataset, one.label) for one in found] == [
        (dataset, label)
        for dataset in ("lesions", "by_image")
        for label in ("without MLFFM", "uniform weights")
    ]
    less, same = found[:2]
    assert less.result.images == 8
    assert less.result.interval.mean == pytest.approx(-0.1, abs=0.01)  # drawn so; whole pixels round it
    assert less.by_seed == pytest.approx([-0.1] * 3, abs=0.01)
    assert less.result.effect == -1
    assert (same.result.interval.mean, same.result.p, same.corrected) == (0, 1, 1)


def test_a_variant_may_be_against_another_than_the_baseline(
    fabricate: Callable[..., StudyFolder], lesions: Path
) -> None:
    cut = {"recipe": "synthetic", "overrides": ["model.fusion_width=null"]}
    uniform = {"recipe": "synthetic", "overrides": ["model.adaptive=false"], "against": "without MLFFM"}
    variants = {"full": {"recipe": "synthetic"}, "without MLFFM": cut, "uniform weights": uniform}
    sources = {"datasets": {"lesions": {"source": "folder"}}, "sources": {"lesions": lesions}}
    study = read_results(fabricate(variants=variants, **sources).path)
    less, more = against_baseline(study, "recall", "source")
    assert (less.other, more.other) == ("full", "without MLFFM")
    assert more.result.interval.mean == pytest.approx(-less.result.interval.mean)
    table = comparison_table(study, [less, more], "name", "Caption.", "recall", "variant")
    assert table.shown["against"].tolist() == ["full", "without MLFFM"]
    assert "against" not in comparison_table(study, [less], "name", "Caption.", "recall", "variant").shown
    alone = comparison_table(study, [more], "name", "Caption.", "recall", "variant")
    assert alone.shown["against"].tolist() == ["without MLFFM"]
    assert sentence(more, study).startswith("uniform weights against 'without MLFFM': ")
    assert sentence(less, study).startswith("without MLFFM against 'full': ")


def test_p_values_are_scipys_and_holms(finished: StudyFolder) -> None:
    study = read_results(finished.path)
    found = against_baseline(study, "jaccard", "source")
    rows = study.main_rows()
    rows = rows[rows["dataset"] == "lesions"]
    means = rows.groupby(["variant", "id"])["jaccard"].mean()
    expected = wilcoxon(means["without MLFFM"] - means["full"]).pvalue
    assert found[0].result.p == pytest.approx(expected)
    smallest = min(one.result.p for one in found)
    assert min(one.corrected for one in found) == pytest.approx(4 * smallest)


def test_only_seeds_that_both_have_are_compared(unfinished: StudyFolder) -> None:
    found = against_baseline(read_results(unfinished.path), "jaccard", "source")
    assert {one.label: len(one.by_seed) for one in found} == {"without MLFFM": 2, "uniform weights": 2}


def test_ways_to_draw_masks_are_compared_with_the_first(finished: StudyFolder) -> None:
    found = against_first_evaluation(read_results(finished.path), "jaccard", "source")
    assert [(one.dataset, one.label) for one in found] == [("lesions", "steps_1"), ("by_image", "steps_1")]
    assert all(one.result.interval.mean == 0 for one in found)


def test_the_table_has_the_numbers_and_the_words(finished: StudyFolder) -> None:
    study = read_results(finished.path)
    found = against_baseline(study, "hd95", "source")
    table = comparison_table(study, found, "name", "Caption.", "hd95", "variant")
    assert table.text == "Caption. Holm: 4 comparisons."
    assert table.numbers["difference"].tolist() == [one.result.interval.mean for one in found]
    assert np.isfinite(table.numbers[["low", "high", "p", "p, Holm", "effect"]].to_numpy()).all()
    worse = table.shown[table.shown["variant"] == "without MLFFM"]
    assert set(worse["verdict"]) == {"worse"}  # a larger distance is worse
    assert worse["difference"].str.fullmatch(r"\+\d+\.\d\d").all()
    assert worse["95 % interval"].str.fullmatch(r"\+\d+\.\d\d to \+\d+\.\d\d").all()
    assert worse["by seed"].str.fullmatch(r"\+\d+\.\d\d(, \+\d+\.\d\d)+").all()
