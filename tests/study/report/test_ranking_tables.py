from collections.abc import Callable
from pathlib import Path

import pandas as pd

from mlffm_segdiff.study.report import read_results
from mlffm_segdiff.study.report.ranking_tables import ranking_tables, rankings
from mlffm_segdiff.study.study_folder import StudyFolder

PARTS = ["train"] * 26 + ["val"] * 4 + ["test"] * 10


def test_seeds_are_listed_and_data_sets_without_a_ranking_named(
    fabricate: Callable[..., StudyFolder], lesions: Path, tmp_path: Path
) -> None:
    names = sorted(path.stem for path in (lesions / "images").iterdir())
    datasets: dict[str, object] = {"lesions": {"source": "folder"}, "synthetic": {}}
    for number, name in enumerate(("apart", "two", "missing")):
        split = tmp_path / f"{name}.csv"
        rows = zip(names[number:], PARTS, strict=False)
        split.write_text("id,part\n" + "".join(f"{key},{part}\n" for key, part in rows))
        datasets[name] = {"source": "folder", "overrides": [f"data.split={split}"]}
    variants = ("full", "without MLFFM", "uniform weights")
    left_out = [
        ("uniform weights", "lesions", 0),
        ("full", "apart", 0),
        ("without MLFFM", "apart", 1),
        ("uniform weights", "apart", 2),
        *(("full", "two", seed) for seed in range(3)),
        *((variant, "missing", seed) for variant in variants for seed in range(3)),
    ]
    sources = {name: lesions for name in datasets if name != "synthetic"}
    study = read_results(fabricate(tuple(left_out), datasets=datasets, sources=sources).path)
    found, reasons = rankings(study, "jaccard", "source")
    assert reasons == {
        "synthetic": "fewer than 6 images in common",
        "apart": "its variants have no finished seed in common",
        "two": "a ranking needs three variants",
        "missing": "no finished run",
    }
    friedman, ranks, _ = ranking_tables(study, found)
    assert friedman.shown["seeds"].tolist() == ["1, 2"]
    own = study.main_rows().query("dataset == 'lesions' and seed > 0")
    means: pd.DataFrame = own.groupby(["id", "variant"])["jaccard"].mean().round(9).unstack()
    expected = means.rank(axis=1, ascending=False).mean()
    assert ranks.numbers.set_index("variant")["lesions"].to_dict() == expected.to_dict()
