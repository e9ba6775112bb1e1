from collections.abc import Callable
from pathlib import Path

import pytest

from mlffm_segdiff.study.report import read_results
from mlffm_segdiff.study.report.split_comparison import split_pairs, split_table
from mlffm_segdiff.study.study_folder import StudyFolder

VARIANTS = {"full": [], "without MLFFM": ["model.fusion_width=null"]}


def test_one_source_under_two_splits_is_compared_the_given_split_first(finished: StudyFolder) -> None:
    study = read_results(finished.path)
    assert split_pairs(study) == [("by_image", "lesions")]
    table = split_table(study)
    assert table is not None
    assert table.numbers["variant"].tolist() == ["full", "without MLFFM", "uniform weights"]
    rows = study.main_rows()
    means = rows[rows["variant"] == "full"].groupby("dataset")["jaccard"].mean()
    first = table.numbers.iloc[0]
    assert first["difference"] == pytest.approx(means["by_image"] - means["lesions"])
    assert first["low"] < first["difference"] < first["high"]
    assert first["test images"] == "other (2 in both)"


def test_splits_with_the_same_test_images_are_paired(
    fabricate: Callable[..., StudyFolder], lesions: Path, tmp_path: Path
) -> None:
    names = sorted(path.stem for path in (lesions / "images").iterdir())
    parts = ["train"] * 26 + ["val"] * 4 + ["test"] * 10
    rows = [f"{name},{part}\n" for name, part in zip(names, parts, strict=True)]
    whole, fewer = tmp_path / "whole.csv", tmp_path / "fewer.csv"
    whole.write_text("id,part\n" + "".join(rows))
    fewer.write_text("id,part\n" + "".join(rows[5:]))
    study = fabricate(
        datasets={
            name: {"source": "folder", "overrides": [f"data.split={path}"]}
            for name, path in (("by_image", whole), ("without_leaks", fewer))
        },
        sources={"by_image": lesions, "without_leaks": lesions},
    )
    table = split_table(read_results(study.path))
    assert table is not None
    assert set(table.numbers["test images"]) == {"same"}
    assert set(table.numbers["first split"]) == {"by_image"}
    # every image gains alike, so all ten differences are positive: p is 2 / 2**10 and the correlation 1
    assert table.numbers["p"].tolist() == pytest.approx([2 / 2**10] * 3)
    assert table.numbers["p, Holm"].tolist() == pytest.approx([3 * 2 / 2**10] * 3)
    assert table.numbers["effect"].tolist() == [1, 1, 1]


def test_images_in_both_test_parts_are_counted(
    fabricate: Callable[..., StudyFolder], lesions: Path, tmp_path: Path
) -> None:
    names = sorted(path.stem for path in (lesions / "images").iterdir())
    for file, order in (("one", names), ("other", [*names[-6:], *names[:-6]])):
        parts = ["train"] * 26 + ["val"] * 4 + ["test"] * 10
        rows = [f"{name},{part}\n" for name, part in zip(order, parts, strict=True)]
        (tmp_path / f"{file}.csv").write_text("id,part\n" + "".join(rows))
    study = fabricate(
        datasets={
            name: {"source": "folder", "overrides": [f"data.split={tmp_path / name}.csv"]}
            for name in ("one", "other")
        },
        sources={"one": lesions, "other": lesions},
    )
    table = split_table(read_results(study.path))
    assert table is not None
    assert set(table.numbers["test images"]) == {"other (4 in both)"}


def test_only_seeds_that_both_splits_have_are_compared(
    fabricate: Callable[..., StudyFolder], lesions: Path, tmp_path: Path
) -> None:
    split = tmp_path / "split.csv"
    names = sorted(path.stem for path in (lesions / "images").iterdir())
    split.write_text(
        "id,part\n" + "".join(f"{n},{'test' if k > 29 else 'train'}\n" for k, n in enumerate(names))
    )
    study = fabricate(
        left_out=tuple((variant, "by_image", seed) for variant in VARIANTS for seed in (1, 2)),
        variants={name: {"recipe": "synthetic", "overrides": cut} for name, cut in VARIANTS.items()},
        datasets={
            "lesions": {"source": "folder"},
            "by_image": {"source": "folder", "overrides": [f"data.split={split}"]},
        },
        sources={"folder": lesions},
    )
    found = read_results(study.path)
    table = split_table(found)
    assert table is not None
    rows = found.main_rows()
    means = rows[(rows["variant"] == "full") & (rows["seed"] == 0)].groupby("dataset")["jaccard"].mean()
    assert table.numbers["Jaccard, second"][0] == pytest.approx(means["lesions"])


def test_without_two_splits_there_is_no_table(unfinished: StudyFolder) -> None:
    assert split_table(read_results(unfinished.path)) is None
