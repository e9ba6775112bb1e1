from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.skin_tone import typology_angle
from mlffm_segdiff.study.report import read_results, write_report
from mlffm_segdiff.study.report.image_properties import (
    in_thirds,
    measured_properties,
    skin_tones,
)
from mlffm_segdiff.study.report.scored_images import open_images
from mlffm_segdiff.study.study_folder import StudyFolder
from mlffm_segdiff.study.transfer import share_study


def test_thirds_are_equally_large_and_named_by_their_ends() -> None:
    values = pd.Series([5.0, 1, 2, 6, 3, 4, np.nan], index=list("abcdefg"))
    found = in_thirds("size", "size, %", values)
    assert found.groups.to_dict() == {
        "b": "1.0 to 2.0", "c": "1.0 to 2.0", "e": "3.0 to 4.0", "f": "3.0 to 4.0", "a": "5.0 to 6.0",
        "d": "5.0 to 6.0",
    }  # fmt: skip
    assert list(found.groups.cat.categories) == ["1.0 to 2.0", "3.0 to 4.0", "5.0 to 6.0"]


@pytest.mark.parametrize("values", [[2.0] * 7, [1.0, 2.0] * 4, [1.0] * 7 + [2.0]])
def test_equal_values_are_in_one_third(values: list[float]) -> None:
    series = pd.Series(values)
    groups = in_thirds("size", "size", series).groups
    assert len(groups) == len(values)
    assert groups.groupby(series).nunique().max() == 1


def test_names_of_thirds_have_the_digits_that_tell_them_apart() -> None:
    values = pd.Series([0.001, 0.002, 0.003, 0.004, 0.005, 0.005])
    groups = in_thirds("size", "size, %", values).groups
    assert list(groups.cat.categories) == ["0.001 to 0.002", "0.003 to 0.004", "0.005"]


def test_tones_are_in_order_and_images_without_skin_are_left_out() -> None:
    found = skin_tones(pd.Series([45.0, -40, 60, np.nan], index=list("abcd")))
    assert list(found.groups.cat.categories) == ["very light", "light", "dark"]
    assert found.groups.to_dict() == {"a": "light", "b": "dark", "c": "very light"}


def test_images_are_measured_once_and_shared_without_the_images(
    copied: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = read_results(copied.path)
    contrast, tone = measured_properties(study, "lesions")
    assert (contrast.name, tone.name) == ("contrast", "skin tone")
    images = open_images(study.cells[0].cell, study.plan.part)
    first = typology_angle(np.asarray(images.pairs.images[0]), np.asarray(images.pairs.masks[0]) > 0)
    assert tone.values is not None
    assert tone.values[images.pairs.ids[0]] == pytest.approx(first, abs=0.01)
    share_study(copied, tmp_path / "shared")
    monkeypatch.delattr("mlffm_segdiff.study.report.image_properties.open_images")
    shared = measured_properties(read_results(tmp_path / "shared"), "lesions")
    pd.testing.assert_series_equal(shared[0].groups, contrast.groups)
    pd.testing.assert_series_equal(shared[1].groups, tone.groups)


def test_a_report_has_scores_by_the_properties_of_a_table(
    fabricate: Callable[..., StudyFolder], lesions: Path, tmp_path: Path
) -> None:
    folder = fabricate(datasets={"lesions": {"source": "folder"}}, sources={"lesions": lesions})
    scores = read_results(folder.path).main_rows().query("variant == 'full'")
    means = scores.groupby("id")["jaccard"].mean().sort_values()
    assert len(means) == 8
    table = tmp_path / "table.csv"
    sites = ["arm", "leg"] * 4
    lines = (f"{key},{rank},{site}" for rank, (key, site) in enumerate(zip(means.index, sites, strict=True)))
    table.write_text("\n".join(["id,age,site", *lines, "another,3,face"]), encoding="utf-8")
    report = write_report(folder.path, table)
    assert (report / "figures" / "by_age_lesions.png").is_file()
    command = f"study report {folder.path} --properties {table}"
    assert command in (report / "report.md").read_text(encoding="utf-8")
    groups = pd.read_csv(report / "tables" / "properties_lesions.csv").set_index(["property", "group"])
    assert groups.loc["site", "full"].to_dict() == pytest.approx(
        {"arm": means.iloc[::2].mean(), "leg": means.iloc[1::2].mean()}
    )
    assert groups.loc["age", "images"].sum() == 8
    assert groups.loc["age", "full"].is_monotonic_increasing
    found = pd.read_csv(report / "tables" / "correlations_lesions.csv").set_index("property")
    assert found.loc["age", "rho"] == pytest.approx(1)
    assert found.loc["age", "rho, given the others"] == pytest.approx(1)
    differences = pd.read_csv(report / "tables" / "difference_correlations_lesions.csv")
    assert set(differences["minus"]) == {"full"}


def test_images_that_the_file_does_not_have_are_measured(copied: StudyFolder) -> None:
    study = read_results(copied.path)
    whole = measured_properties(study, "lesions")
    lines = copied.images.read_text(encoding="utf-8").splitlines()
    copied.images.write_text("\n".join([*lines[:4], "2018,other,1,2"]) + "\n", encoding="utf-8")
    again = measured_properties(study, "lesions")
    pd.testing.assert_series_equal(again[0].groups, whole[0].groups)
    written = copied.images.read_text(encoding="utf-8").splitlines()
    assert sorted(written) == sorted([*lines, "2018,other,1.0,2.0"])


def test_thirds_are_those_of_the_scored_images(copied: StudyFolder) -> None:
    study = read_results(copied.path)
    before = measured_properties(study, "lesions")
    more = [f"lesions,more{number},{200 + number},{number}" for number in range(8)]
    lines = copied.images.read_text(encoding="utf-8").splitlines()
    copied.images.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    for known, again in zip(before, measured_properties(study, "lesions"), strict=True):
        pd.testing.assert_series_equal(again.groups, known.groups)


def test_a_damaged_file_of_images_is_a_user_error(finished: StudyFolder, tmp_path: Path) -> None:
    share_study(finished, tmp_path / "shared")
    (tmp_path / "shared/images.csv").write_text("id\na\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"images\.csv cannot be read .*dataset.*; delete it"):
        measured_properties(read_results(tmp_path / "shared"), "lesions")
