"""Masks of which a known share is found, compared by scipy, statsmodels and scikit-posthocs."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy.stats import bootstrap, friedmanchisquare, rankdata, spearmanr, wilcoxon
from statsmodels.stats.multitest import multipletests

from mlffm_segdiff import compare
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.study import mask_comparison
from mlffm_segdiff.study.mask_comparison import MaskComparison, _find_images

ROWS = {
    "ours": [10, 9, 10, 8, 9, 10, 7, 9],
    "plain": [9, 7, 7, 4, 4, 4, 6, 9],
    "coarse": [9, 9, 9, 8, 8, 9, 7, 9],
}
"""Of a lesion of 10 x 10 pixels in images of 10 x 20, the rows that each finds: 10 times the Jaccard."""
IDS = [f"case{number}" for number in range(8)]


def save(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def found_rows(count: int) -> np.ndarray:
    mask = np.zeros((10, 20), bool)
    mask[:count, :10] = True
    return mask


def write_masks(folder: Path, counts: Sequence[int], ids: Sequence[str] = IDS, suffix: str = "") -> Path:
    for key, count in zip(ids, counts, strict=True):
        save(folder / f"{key}{suffix}.png", found_rows(count))
    return folder


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return write_masks(tmp_path / "truth", [10] * 8, suffix="_lesion")


@pytest.fixture
def masks(tmp_path: Path) -> dict[str, Path]:
    return {name: write_masks(tmp_path / name, counts) for name, counts in ROWS.items()}


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make intervals fast where no test reads them."""
    monkeypatch.setattr("mlffm_segdiff.metrics.intervals.RESAMPLES", 99)


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out tables and figures, for tests of what is scored."""
    monkeypatch.setattr("mlffm_segdiff.study.mask_comparison.write_mask_report", lambda *given: [])


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> MaskComparison:
    """The three methods, with a site and an age of seven images."""
    place = tmp_path_factory.mktemp("made")
    truth = write_masks(place / "truth", [10] * 8, suffix="_lesion")
    masks = {name: write_masks(place / name, counts) for name, counts in ROWS.items()}
    properties = place / "properties.csv"
    lines = [
        f"{key.upper()},{'six' if number < 6 else 'one'},{number}\n" for number, key in enumerate(IDS[:7])
    ]
    properties.write_text("id,site,age\n" + "".join(lines) + "elsewhere,three,9\n")
    return compare(masks, truth, place / "out", properties=properties)


def table(compared: MaskComparison, name: str) -> pd.DataFrame:
    return pd.read_csv(compared.folder / "tables" / f"{name}.csv")


def jaccard(name: str) -> np.ndarray:
    return np.array(ROWS[name]) / 10


def test_differences_by_hand(compared: MaskComparison) -> None:
    """plain - ours: -1 -2 -3 -4 -5 -6 -1 0 tenths. All but one tie of two and a zero is negative."""
    rows = table(compared, "baseline_jaccard_source").set_index("method")
    assert rows["difference"].to_dict() == pytest.approx({"plain": -22 / 80, "coarse": -4 / 80})
    # ranks with the zero: 1; 2.5 twice; 4 to 8, so the negative ranks are 35 of 36
    assert rows.loc["plain", "effect"] == pytest.approx(-35 / 36)
    # four differences of -0.1 and four zeros, ranks 2.5 and 6.5
    assert rows.loc["coarse", "effect"] == pytest.approx(-26 / 36)


def test_tests_and_intervals_are_those_of_scipy_and_statsmodels(compared: MaskComparison) -> None:
    rows = table(compared, "baseline_jaccard_source").set_index("method")
    differences = {name: np.round(jaccard(name) - jaccard("ours"), 9) for name in ("plain", "coarse")}
    p = [wilcoxon(values, zero_method="pratt").pvalue for values in differences.values()]
    assert rows["p"].tolist() == pytest.approx(p)
    assert rows["p, Holm"].tolist() == pytest.approx(multipletests(p, method="holm")[1].tolist())
    assert rows.loc["plain", "p, Holm"] == pytest.approx(2 * min(p))  # by hand: the smallest of two, doubled
    found = bootstrap(
        (differences["plain"],), np.mean, method="BCa", n_resamples=20_000, rng=np.random.default_rng(5)
    ).confidence_interval
    assert rows.loc["plain", ["low", "high"]].tolist() == pytest.approx([found.low, found.high], abs=0.01)


def test_ranks_are_those_of_scipy_and_scikit_posthocs(compared: MaskComparison) -> None:
    values = np.stack([jaccard(name) for name in ROWS], axis=1)
    ranks = rankdata(-values, axis=1).mean(axis=0)
    assert table(compared, "ranks").set_index("method")["out"].to_dict() == pytest.approx(
        dict(zip(ROWS, ranks, strict=True))
    )
    (friedman,) = table(compared, "friedman").to_dict("records")
    expected = friedmanchisquare(*values.T)
    assert (friedman["chi-squared"], friedman["p"]) == pytest.approx((expected.statistic, expected.pvalue))
    assert friedman["critical difference"] == pytest.approx(2.343 * np.sqrt(3 * 4 / (6 * 8)), abs=1e-3)
    nemenyi = posthoc_nemenyi_friedman(values).to_numpy()
    order = list(ROWS)
    for row in table(compared, "nemenyi").to_dict("records"):
        assert row["p"] == pytest.approx(nemenyi[order.index(row["method"]), order.index(row["other"])])


def test_scores_have_a_row_per_image_and_method_with_both_units(compared: MaskComparison) -> None:
    scores = pd.read_csv(compared.folder / "scores.csv")
    assert len(scores) == 3 * 8
    for name in ROWS:
        own = scores[scores["method"] == name].set_index("id")["jaccard"]
        assert own.loc[IDS].tolist() == pytest.approx(jaccard(name).tolist())
    diagonal = np.hypot(10, 20)
    for pixels in ("hd95", "assd"):
        assert scores[f"{pixels}_percent"].to_numpy() == pytest.approx(
            100 * scores[pixels].to_numpy() / diagonal, abs=1e-5
        )
    page = (compared.folder / "report.md").read_text()
    units = ("HD95 (px)", "HD95 (% of diagonal)", "ASSD (px)", "ASSD (% of diagonal)")
    headers = [line for line in page.splitlines() if line.startswith("|") and "HD95" in line]
    assert len(headers) == 4  # all images, and groups by lesion size, site and age
    for header in headers:
        assert all(f"| {unit} |" in header for unit in (*units, "boundary Dice (within 1 % of diagonal)"))


def test_groups_have_scores_and_tests_where_there_are_enough_images(compared: MaskComparison) -> None:
    groups = table(compared, "groups_site").set_index(["group", "method"])
    assert groups.loc[("six", "plain"), "jaccard"] == pytest.approx(jaccard("plain")[:6].mean())
    assert groups.loc[("one", "ours"), "jaccard"] == pytest.approx(0.7)
    differences = table(compared, "group_differences_site")
    assert set(differences["group"]) == {"six"}
    p = wilcoxon(np.round(jaccard("plain") - jaccard("ours"), 9)[:6], zero_method="pratt").pvalue
    assert differences["p"][0] == pytest.approx(p) == pytest.approx(2 / 2**6)  # all six are negative
    page = (compared.folder / "report.md").read_text()
    assert "Images without a value are left out: 1." in page
    assert "because of fewer than 6 images: one." in page


def test_a_number_is_grouped_in_thirds_and_correlated(compared: MaskComparison) -> None:
    groups = table(compared, "groups_age").set_index(["group", "method"])
    assert [*dict.fromkeys(groups.index.get_level_values("group"))] == ["0 to 2", "3 to 4", "5 to 6"]
    assert groups.loc[("0 to 2", "plain"), "jaccard"] == pytest.approx(jaccard("plain")[:3].mean())
    rho = spearmanr(np.arange(7), np.round(jaccard("plain") - jaccard("ours"), 9)[:7]).statistic
    found = table(compared, "difference_correlations_out").set_index(["property", "method"])
    assert found.loc[("age", "plain"), "rho"] == pytest.approx(rho)


@pytest.mark.usefixtures("few_resamples")
def test_texts_are_shown_as_they_are_and_empty_columns_left_out(
    tmp_path: Path, truth: Path, masks: Mapping[str, Path]
) -> None:
    texts = [r"$\q$", "<$10 | $50>"]
    lines = [f'{key},"{texts[number % 2]}",\n' for number, key in enumerate(IDS)]
    (tmp_path / "table.csv").write_text("id,price,contrast\n" + "".join(lines), encoding="utf-8")
    found = compare(masks, truth, tmp_path / "out", properties=tmp_path / "table.csv")
    assert set(table(found, "groups_price")["group"]) == set(texts)
    page = (found.folder / "report.md").read_text(encoding="utf-8")
    assert "fewer than 6 images have a value: contrast." in page


def test_the_report_has_its_figures_and_the_command(compared: MaskComparison) -> None:
    names = {path.name for path in (compared.folder / "figures").iterdir()}
    assert names == {
        "ranks_out.png", "forest.png", "groups_site.png", "areas_out.png", "by_age_out.png",
        "by_lesion_size_out.png", "worst_out.png",
    }  # fmt: skip
    page = (compared.folder / "report.md").read_text()
    assert "mlffm-segdiff compare --masks ours=" in page
    assert "- plain against 'ours': worse" in page
    worst = table(compared, "worst")
    assert worst[worst["worst of method"] == "ours"]["id"].tolist()[0] == "case6"
    facts = json.loads((compared.folder / "comparison.json").read_text())
    assert sorted(facts["files"]) == sorted(
        path.relative_to(compared.folder).as_posix()
        for path in compared.folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


@pytest.mark.usefixtures("few_resamples")
def test_another_comparison_replaces_the_files_of_the_first(
    tmp_path: Path, truth: Path, masks: Mapping[str, Path]
) -> None:
    compare(masks, truth, tmp_path / "out")
    two = {name: masks[name] for name in ("ours", "coarse")}
    compare(two, truth, tmp_path / "out", baseline="coarse")
    assert not (tmp_path / "out" / "figures" / "ranks_out.png").exists()
    page = (tmp_path / "out" / "report.md").read_text()
    assert "needs three methods" in page
    assert "- ours against 'coarse': no significant difference" in page
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.md").write_text("mine")
    with pytest.raises(UserError, match=r"report\.md exists, but no earlier run wrote it"):
        compare(two, truth, tmp_path / "other")


@pytest.mark.usefixtures("without_report")
def test_a_missing_mask_is_refused_scored_as_empty_or_left_out_for_all(
    tmp_path: Path, truth: Path, masks: Mapping[str, Path]
) -> None:
    (masks["plain"] / "case0.png").unlink()
    with pytest.raises(UserError, match=r"'plain' has no mask in .* for 1 of 8 images: case0; .*--missing"):
        compare(masks, truth, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    empty = compare(masks, truth, tmp_path / "out", missing="empty").scored.scores
    row = empty[(empty["variant"] == "plain") & (empty["id"] == "case0")].iloc[0]
    assert (row["jaccard"], row["note"], row["hd95_percent"]) == (0, "missing", 100)
    found = compare(masks, truth, tmp_path / "out", missing="skip")
    assert found.facts["left_out"] == ("case0",)
    assert found.scored.scores.groupby("variant")["id"].nunique().to_dict() == dict.fromkeys(ROWS, 7)
    (note,) = (note for note in found.facts["notes"] if note.startswith("plain"))
    assert "1 without a mask, left out for every method (case0)" in note


@pytest.mark.usefixtures("without_report")
def test_masks_of_another_size_are_resized_and_counted(
    tmp_path: Path, truth: Path, masks: Mapping[str, Path]
) -> None:
    before = compare(masks, truth, tmp_path / "out").scored.scores["jaccard"].tolist()
    for path in masks["plain"].iterdir():
        with Image.open(path) as image:
            doubled = np.asarray(image).repeat(3, axis=0).repeat(2, axis=1)
        Image.fromarray(doubled).save(path)
    found = compare(masks, truth, tmp_path / "out")
    assert found.scored.scores["jaccard"].tolist() == before
    (note,) = (note for note in found.facts["notes"] if note.startswith("plain"))
    assert "8 masks resized to the ground truth by nearest neighbour" in note


@pytest.mark.usefixtures("few_resamples")
def test_folders_of_one_method_are_its_seeds(tmp_path: Path, truth: Path, masks: Mapping[str, Path]) -> None:
    again = write_masks(tmp_path / "again", [max(count - 1, 1) for count in ROWS["plain"]])
    both = {"ours": [masks["ours"], masks["coarse"]], "plain": [masks["plain"], again]}
    found = compare(both, truth, tmp_path / "out")
    assert not [note for note in found.facts["notes"] if "different numbers of runs" in note]
    rows = table(found, "baseline_jaccard_source").iloc[0]
    first = jaccard("plain").mean() - jaccard("ours").mean()
    second = jaccard("plain").mean() - 0.1 - jaccard("coarse").mean()
    assert (rows["seeds"], rows["difference"]) == (2, pytest.approx((first + second) / 2))
    assert (rows["smallest by seed"], rows["largest by seed"]) == pytest.approx(sorted([first, second]))
    scores = table(found, "scores_source").set_index("method")
    assert scores.loc["plain", "jaccard per image, sd"] == pytest.approx(0.1 / np.sqrt(2))


@pytest.mark.usefixtures("few_resamples")
def test_each_comparison_uses_the_runs_that_both_have(
    tmp_path: Path, truth: Path, masks: Mapping[str, Path]
) -> None:
    again = {name: write_masks(tmp_path / f"again_{name}", ROWS[name]) for name in ("ours", "plain")}
    several = {"ours": [masks["ours"], again["ours"]], "plain": [masks["plain"], again["plain"]]}
    found = compare({**several, "coarse": masks["coarse"]}, truth, tmp_path / "out")
    rows = table(found, "baseline_jaccard_source").set_index("method")
    assert rows["seeds"].to_dict() == {"plain": 2, "coarse": 1}
    assert table(found, "friedman")["seeds"].tolist() == [0]
    assert found.facts["notes"][-1] == (
        "Methods have different numbers of runs. Each comparison uses the runs that both have; the ranking "
        "uses the first 1; tables of scores use all."
    )


@pytest.mark.usefixtures("few_resamples")
def test_too_few_images_leave_out_the_tests_and_say_so(tmp_path: Path, masks: Mapping[str, Path]) -> None:
    few = write_masks(tmp_path / "few", [10] * 5, IDS[:5])
    found = compare(masks, few, tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "Tests are left out for out: with fewer than 6 images" in page
    assert "Not ranked: out (fewer than 6 images in common)." in page
    assert "Wilcoxon signed-rank" not in page
    assert found.facts["verdicts"] == []
    assert "3 masks without ground truth ignored (case5, case6, case7)" in page


def test_the_worst_cases_have_their_image_only_on_request(
    tmp_path: Path, truth: Path, masks: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (2048, 1024), (200, 120, 40)).save(tmp_path / "images" / "CASE6.jpg")
    outlines = []
    monkeypatch.setattr(
        "mlffm_segdiff.study.mask_comparison.write_mask_report",
        lambda study, compared, folder, notes, outline, properties: outlines.append(outline(["case6"])) or [],
    )
    for images in (None, tmp_path / "images"):
        compare(masks, truth, tmp_path / "out", images=images)
    plain, drawn = (found["plain"][0] for found in outlines)
    assert (plain.image, plain.jaccard, int(plain.predicted.sum())) == (None, 0.6, 60)
    assert drawn.image.shape == (256, 512, 3)


@pytest.mark.usefixtures("few_resamples")
def test_methods_and_folders_may_have_names_that_the_tables_use(
    masks: dict[str, Path], truth: Path, tmp_path: Path
) -> None:
    named = dict(zip(("self", "method", "score"), masks.values(), strict=True))
    found = compare(named, truth, tmp_path / "method")
    assert set(named) <= set(table(found, "worst").columns)
    ranks = pd.read_csv(found.folder / "tables" / "ranks.csv")
    assert ranks.shape == (3, 2)
    assert sorted(ranks.iloc[:, 0]) == ["method", "score", "self"]


def test_images_that_differ_only_in_case_are_told_apart(tmp_path: Path) -> None:
    """Such names are in one folder on Linux only, but a zip archive has them everywhere."""
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name in ("case0.png", "CASE0.png", "Case1.png"):
            archive.writestr(name, b"")
    truths = {key: Entry(tmp_path / key) for key in ("CASE0", "case0", "case1")}
    found = _find_images(tmp_path / "images.zip", truths)
    assert {key: entry.member for key, entry in found.items()} == {
        "CASE0": "CASE0.png",
        "case0": "case0.png",
        "case1": "Case1.png",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: {"masks": {"ours": given["masks"]["ours"]}}, "needs two methods, but ours is given"),
        (lambda given: {"baseline": "theirs"}, "'theirs' is not a method; choose one of ours, plain, coarse"),
        (
            lambda given: {"masks": {"a": given["masks"]["ours"], "b": given["masks"]["ours"]}},
            "ours is given twice",
        ),
        (
            lambda given: {"masks": {**given["masks"], "a": given["truth"]}},
            "truth is the ground truth and cannot be a method, too",
        ),
        (lambda given: {"masks": {**given["masks"], "a": []}}, "method 'a' has no folder of masks; add one"),
        (
            lambda given: {"masks": {"a/b": given["truth"], "c": given["truth"]}},
            "'a/b' is not a name of only",
        ),
        (lambda given: {"masks": {"id": given["truth"], "c": given["truth"]}}, "'id' is a column of"),
        (lambda given: {"properties": given["output"] / "no.csv"}, r"no\.csv cannot be read"),
        (lambda _: {"missing": "skipp"}, "missing='skipp' is unknown; choose one of error, empty, skip"),
        (lambda _: {"masks": ["ours", "plain"]}, r"masks is \['ours', 'plain'\]; give a mapping by name"),
        (lambda given: {"masks": {1: given["truth"], 2: given["truth"]}}, "give a mapping by name"),
        (lambda _: {"masks": {"ours": 1, "plain": 2}}, "1 is a int, not a path"),
        (lambda _: {"truth": None}, "None is a NoneType, not a path"),
        (lambda _: {"properties": 3}, "3 is a int, not a path"),
        (lambda _: {"images": 3}, "3 is a int, not a path"),
        (lambda given: {"images": given["output"] / "none"}, "does not exist"),
    ],
)
def test_bad_input_ends_in_one_line_and_writes_nothing(
    tmp_path: Path, truth: Path, masks: Mapping[str, Path], change: object, message: str
) -> None:
    given = {"masks": masks, "truth": truth, "output": tmp_path / "out"}
    with pytest.raises(UserError, match=message):
        compare(**{**given, **change(given)})
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("few_resamples")
def test_files_of_a_comparison_that_ended_meanwhile_are_replaced(
    tmp_path: Path, truth: Path, masks: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_comparison, "write_mask_report", lambda *_: [])
    written = mask_comparison.score_runs

    def slow(*given: object) -> object:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "groups_age.csv").write_text("of the other one", encoding="utf-8")
        facts = json.dumps({"files": ["comparison.json", "scores.csv", "groups_age.csv"]})
        (tmp_path / "out" / "comparison.json").write_text(facts, encoding="utf-8")
        return written(*given)

    monkeypatch.setattr(mask_comparison, "score_runs", slow)
    compare(masks, truth, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"comparison.json", "scores.csv"}


@pytest.mark.usefixtures("without_report")
def test_tables_and_folders_of_other_images_are_refused(
    tmp_path: Path, truth: Path, masks: Mapping[str, Path]
) -> None:
    properties = tmp_path / "properties.csv"
    properties.write_text("id,group\ncase0.png,a\n")
    with pytest.raises(UserError, match=r"no image has the id 'case0\.png'.*write 'case0', without"):
        compare(masks, truth, tmp_path / "out", properties=properties)
    properties.write_text("id,group\ncase0,a\nCASE0,b\n")
    with pytest.raises(UserError, match="line 3: 'CASE0' has an earlier line that differs; keep one"):
        compare(masks, truth, tmp_path / "out", properties=properties)
    others = write_masks(tmp_path / "others", [3], ["elsewhere"])
    with pytest.raises(UserError, match="has the name of a ground truth"):
        compare({"ours": masks["ours"], "others": others}, truth, tmp_path / "out")
    with pytest.raises(UserError, match=r"no image in .*others has the name of a ground truth"):
        compare(masks, truth, tmp_path / "out", images=others)


@pytest.mark.usefixtures("few_resamples", "without_report")
def test_folders_may_be_strings_in_the_home_folder(
    masks: dict[str, Path], truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    found = compare({"ours": "~/ours", "plain": [str(masks["plain"])]}, "~/truth", "~/out", images="~/truth")
    assert found.folder == tmp_path / "out"
    assert (tmp_path / "out" / "scores.csv").is_file()
    assert found.facts["methods"] == {name: [str(masks[name])] for name in ("ours", "plain")}
