import pytest

from mlffm_segdiff.experiments.folder import StudyFolder
from mlffm_segdiff.experiments.report.leak import leak_table, split_pairs
from mlffm_segdiff.experiments.report.study import read_study


def test_one_source_under_two_splits_is_compared_the_given_split_first(finished: StudyFolder) -> None:
    study = read_study(finished.path, "ablation")
    assert split_pairs(study) == [("by_image", "lesions")]
    table = leak_table(study)
    assert table is not None
    assert table.numbers["variant"].tolist() == ["full", "without MLFFM", "uniform weights"]
    rows = study.main_rows()
    means = rows[rows["variant"] == "full"].groupby("dataset")["jaccard"].mean()
    first = table.numbers.iloc[0]
    assert first["difference"] == pytest.approx(means["by_image"] - means["lesions"])
    assert first["low"] < first["difference"] < first["high"]


def test_without_two_splits_there_is_no_table(unfinished: StudyFolder) -> None:
    assert leak_table(read_study(unfinished.path, "comparison")) is None
