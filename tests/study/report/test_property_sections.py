from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from mlffm_segdiff.study.report.document import Document
from mlffm_segdiff.study.report.image_properties import MEASURED, SIZE, in_thirds
from mlffm_segdiff.study.report.property_sections import (
    add_correlations,
    correlation_table,
    lesion_sizes,
    with_enough_images,
)
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.score_frame import COLUMNS, image_means


def drawn(seeds: dict[str, int], images: int = 12) -> ScoredVariants:
    """Scores of variants with numbers of seeds, on images of growing lesions."""
    rng = np.random.default_rng(0)
    rows = [
        {"variant": variant, "seed": seed, "id": f"{number:02}", "jaccard": rng.uniform(), "tp": number + 1}
        for variant, count in seeds.items()
        for seed in range(count)
        for number in range(images)
    ]
    scores = pd.DataFrame(rows, columns=list(COLUMNS)).assign(
        dataset="lesions", evaluation="recipe", resolution="source", tn=100, fp=0, fn=0
    )
    return ScoredVariants(scores, list(seeds), ["lesions"], {}, "12 images", "compare", "method")


def test_without_controls_there_is_one_test_a_property() -> None:
    scores = pd.Series(np.random.default_rng(0).uniform(size=9), name="full")
    sizes = in_thirds("lesion size", "size", pd.Series(np.arange(9.0)))
    table = correlation_table("lesions", scores, [sizes], MEASURED)
    assert "rho, given the others" not in table.numbers
    assert table.numbers["p, Holm"].iloc[0] == pytest.approx(spearmanr(np.arange(9), scores).pvalue)


def test_constant_properties_are_no_tests_and_are_shown_as_dashes() -> None:
    scores = pd.Series(np.random.default_rng(0).uniform(size=9), name="full")
    properties = [
        in_thirds("lesion size", "size", pd.Series(np.arange(9.0))),
        in_thirds("age", "age", pd.Series([40.0] * 9)),
    ]
    table = correlation_table("lesions", scores, properties, MEASURED)
    assert table.numbers["p, Holm"].iloc[0] == pytest.approx(spearmanr(np.arange(9), scores).pvalue)
    assert set(table.shown.iloc[1].drop(["property", "images", "images, given the others"])) == {"-"}


def test_differences_are_of_the_seeds_that_both_have(tmp_path: Path) -> None:
    study = drawn({"full": 3, "other": 1})
    document = Document(tmp_path, "T", "compare")
    rows = study.main_rows()
    add_correlations(study, document, "lesions", image_means(rows, "jaccard"), [lesion_sizes(rows)], [SIZE])
    found = pd.read_csv(tmp_path / "tables" / "difference_correlations_lesions.csv")
    first = study.scores[study.scores["seed"] == 0].pivot(index="id", columns="variant", values="jaccard")
    expected = spearmanr(range(12), first["other"] - first["full"]).statistic
    assert found[["property", "method", "minus"]].to_numpy().tolist() == [["lesion size", "other", "full"]]
    assert found["rho"].iloc[0] == pytest.approx(expected)


def test_properties_of_few_images_are_left_out_with_the_reason(tmp_path: Path) -> None:
    document = Document(tmp_path, "T", "compare")
    rows = drawn({"full": 1, "other": 1}, images=5).main_rows()
    found = with_enough_images(document, "lesions", image_means(rows, "jaccard"), [lesion_sizes(rows)])
    assert found == []
    text = "Left out for lesions, as fewer than 6 images have a value: lesion size."
    assert document.blocks[-1].text == text
