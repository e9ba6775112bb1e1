"""Write the tables and figures of EVIDENCE.md and its details page: evidence_page.py [AGREEMENT.csv]

Each folder in docs/evidence is what `mlffm-segdiff study share` wrote. AGREEMENT.csv, with the columns id and
mean_jaccard (the mean over pairs of human masks of the same ISIC image), is not published here; without it,
the table of human agreement stays as it is.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import combinations, product
from pathlib import Path
from statistics import median

import pandas as pd
from matplotlib.figure import Figure

from mlffm_segdiff.evaluation.figures import save_figure
from mlffm_segdiff.evaluation.report import markdown_table
from mlffm_segdiff.metrics.intervals import Interval, mean_interval
from mlffm_segdiff.study.differences import LEVEL, Difference, compare_paired
from mlffm_segdiff.study.report import StudyResults, read_results
from mlffm_segdiff.study.report.comparisons import Comparison, against_baseline, against_first_evaluation
from mlffm_segdiff.study.report.document import Table
from mlffm_segdiff.study.report.figures.curves import curves_figure
from mlffm_segdiff.study.report.figures.forest import forest_figure
from mlffm_segdiff.study.report.figures.trends import trend_figure
from mlffm_segdiff.study.report.image_properties import (
    MEASURED,
    ImageProperty,
    in_thirds,
    measured_properties,
)
from mlffm_segdiff.study.report.property_sections import correlation_table, group_table, lesion_sizes
from mlffm_segdiff.study.report.split_comparison import split_table
from mlffm_segdiff.study.report.wording import number, over_seeds, p_value, signed
from mlffm_segdiff.study.score_frame import image_means, pooled_scores

DOCS = Path(__file__).parent.parent / "docs"
STUDIES = DOCS / "evidence"
PAGES = (DOCS / "EVIDENCE.md", STUDIES / "details.md")
NAMES = {
    "isic2018": "ISIC 2018",
    "ph2": "PH2",
    "ham10000": "HAM10000",
    "wounds": "foot ulcers",
    **{f"images_{count}": f"{count:,} images" for count in (2000, 6000, 12000)},
}
MASKS = {
    "posterior_mean": "posterior mean",
    "steps_4": "one sample, 4 steps",
    "steps_10": "one sample, 10 steps",
    "steps_20": "one sample, 20 steps",
    "mean_of_16": "mean of 16 samples, 4 steps",
}
SPLITS = {
    "by-image": "by image",
    "by-image-without-leaks": "by image, without the leaking training images",
    "by-lesion": "by lesion",
}
STUDIES_OF_PARTS = ("evidence", "evidence_ham10000", "evidence_wounds")
PARTS = {
    "MLFFM": ("without MLFFM", False),
    "MLFFM in the U-Net": ("U-Net with MLFFM", True),
    "MLFFM in the U-Net instead of an FPN": ("FPN", False),
    "MLFFM in the U-Net instead of UNet++": ("UNet++", False),
    "attention in the MLFFM": ("MLFFM without attention", False),
    "learned alignment in the MLFFM": ("MLFFM without learned alignment", False),
    "learned weights in the MLFFM": ("MLFFM with uniform weights", False),
    "a second path for the noisy mask": ("single path", False),
    "interaction of the paths": ("two paths without interaction", False),
    "diffusion, with one path": ("single path", True),
    "true noise instead of recycling": ("recycling", False),
    "boundary weight in the loss": ("plain loss", False),
    "Kervadec's loss": ("Kervadec loss", True),
    "all of MLFFM-SegDiff, against the U-Net": ("U-Net", False),
}
"""A variant for each part, and whether it is the one with the part."""
OTHERS = {
    "MLFFM in the U-Net instead of an FPN": "U-Net with MLFFM",
    "MLFFM in the U-Net instead of UNet++": "U-Net with MLFFM",
    "diffusion, with one path": "U-Net",
}
"""Variants to compare with that differ in the part only, where the study compares with another."""
PEERS = ("evidence_peers", "evidence_peers_longer")
SHOWN = ("full", "without MLFFM", "U-Net")
MARKED = re.compile(r"(<!-- (table|figure) (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def main(agreement: Path | None = None) -> None:
    """Rewrite the tables between the marks of the pages, and the figures."""
    tables: dict[str, Callable[[], str]] = {
        "state": state_table,
        "parts": parts_table,
        "variants": lambda: variants_table("evidence"),
        "ham10000": lambda: variants_table("evidence_ham10000"),
        "steps": steps_table,
        "budget": lambda: variants_table("evidence_budget", seeds=False, first=1),
        "budgets": lambda: variants_table("evidence_budget"),
        "peers": peers_table,
        "repeats": repeats_table,
        "leak": leak_table,
        "groups": groups_table,
        "correlations": correlations_table,
        "wounds": lambda: variants_table("evidence_wounds"),
        "agreement": lambda: agreement_table(agreement) if agreement else "",
    }
    figures: dict[str, Callable[[], Figure]] = {
        "parts": parts_figure,
        "contrast": contrast_figure,
        "peers": peers_figure,
    }

    def rewritten(found: re.Match[str]) -> str:
        start, kind, name, old, end = found.groups()
        if kind == "figure":
            save_figure(figures[name](), STUDIES / "figures" / f"{name}.png")
            return found[0]
        return start + (tables[name]() or old) + end

    for page in PAGES:
        page.write_text(MARKED.sub(rewritten, page.read_text("utf-8")), encoding="utf-8")


@cache
def study(name: str) -> StudyResults:
    """Return the results of a shared study."""
    return read_results(STUDIES / name)


def pooled(
    results: StudyResults, evaluation: str | None = None, score: str = "jaccard"
) -> dict[tuple[str, str], str]:
    """Return mean and spread over seeds of a pooled score at network size, by variant and data set."""
    rows = results.select(evaluation=evaluation or results.evaluations[0], resolution="network")
    groups = pooled_scores(rows).groupby(["variant", "dataset"])
    return {(str(variant), str(dataset)): over_seeds(own[score]) for (variant, dataset), own in groups}


def difference(one: Comparison | None) -> str:
    """Return a difference with its interval and corrected p-value."""
    if one is None:
        return ""
    interval = one.result.interval
    return f"{signed(interval.mean)} ({interval.ends(sign='+')}), {p_text(p_value(one.corrected))}"


def p_text(value: str) -> str:
    """Return "p = 0.020" or "p < 0.001" for a formatted p-value."""
    return f"p {value}" if value.startswith("<") else f"p = {value}"


def state_table() -> str:
    """Return one row per published study: finished training runs, their seeds, and the images of each."""
    rows = []
    for folder in sorted(path.parent for path in STUDIES.glob("*/plan.json")):
        results = study(folder.name)
        accounts = [one.folder.account() for one in results.finished]
        images = sorted({one["images"] for one in accounts})
        seeds = sorted({one.cell.seed for one in results.finished})
        rows.append(
            [
                f"`{folder.name}`",
                f"{len(accounts)} of {len(results.cells)}",
                ", ".join(map(str, seeds)),
                ", ".join(f"{count:,}" for count in images),
            ]
        )
    return markdown_table(["study", "training runs", "seeds", "images each"], rows)


def by_seed(one: Comparison | None) -> str:
    """Return the difference of each seed that both have."""
    return ", ".join(map(signed, one.by_seed)) if one else ""


def parts() -> list[Comparison]:
    """Return the gain of each part on each data set: the scores with it minus those without."""
    return [
        replace(one if adds else opposite(one), label=part, other=one.usual, dataset=NAMES[one.dataset])
        for part, (variant, adds) in PARTS.items()
        for name in STUDIES_OF_PARTS
        for one in compared(name, part in OTHERS)
        if one.label == variant
    ]


@cache
def compared(name: str, others: bool) -> list[Comparison]:
    """Return the comparisons of a study; with ``others``, those of OTHERS in place of its own."""
    results = study(name)
    instead = {
        PARTS[part][0]: other for part, other in OTHERS.items() if others and other in results.variants
    }
    return against_baseline(replace(results, against={**results.against, **instead}), "jaccard", "source")


def opposite(one: Comparison) -> Comparison:
    """Return a comparison in the other direction."""
    interval = one.result.interval
    assert interval.low is not None
    assert interval.high is not None
    turned = Interval(-interval.mean, -interval.high, -interval.low)
    result = replace(one.result, interval=turned, effect=-one.result.effect)
    return replace(one, result=result, by_seed=tuple(-seed for seed in one.by_seed))


def parts_table() -> str:
    """Return one row per part: what it adds per image, bold if significant and of one sign in all seeds."""
    found = {(one.label, one.dataset): one for one in parts()}
    datasets = list(dict.fromkeys(dataset for _, dataset in found))
    rows = [[part, *(added(found.get((part, dataset))) for dataset in datasets)] for part in PARTS]
    return markdown_table(["part", *datasets], rows)


def added(one: Comparison | None) -> str:
    """Return a difference with its interval, in three decimals."""
    if one is None:
        return ""
    interval = one.result.interval
    mean = signed(interval.mean, 3)
    agreed = len({seed > 0 for seed in one.by_seed}) == 1
    shown = f"**{mean}**" if one.corrected < LEVEL and agreed else mean
    return f"{shown} ({signed(interval.low, 3)} to {signed(interval.high, 3)})"


def parts_figure() -> Figure:
    """Draw what each part adds on the two data sets that have all of them."""
    shown = [NAMES[dataset] for dataset in study("evidence").datasets]
    return forest_figure([one for one in parts() if one.dataset in shown], "Jaccard")


def variants_table(name: str, seeds: bool = True, first: int = 0) -> str:
    """Return one row per variant: pooled score and differences per image, on each data set of the study.

    Args:
        name: Name of the study.
        seeds: Also show the difference of each seed.
        first: Number of the first data set to show.
    """
    results = study(name)
    datasets = results.datasets[first:]
    scores = pooled(results)
    found = {(one.label, one.dataset): one for one in compared(name, False)}
    header = ["model", "compared with"]
    for dataset in datasets:
        header += [f"{NAMES[dataset]}: pooled", "difference per image", *["by seed"] * seeds]
    rows = []
    for variant in results.variants:
        cells = []
        for dataset in datasets:
            one = found.get((variant, dataset))
            cells += [scores.get((variant, dataset), ""), difference(one), *[by_seed(one)] * seeds]
        rows.append([variant, "" if variant == results.baseline else results.reference(variant), *cells])
    return markdown_table(header, rows)


def repeats_table() -> str:
    """Return one row per data set: differences per image between runs that differ in the seed only."""
    rows = []
    for name in STUDIES_OF_PARTS:
        for dataset, scores in study(name).by_dataset():
            found = repeat_differences(scores)
            means = [abs(one.interval.mean) for one in found]
            significant = str(sum(one.p < LEVEL for one in found))
            own = [one for one in compared(name, False) if one.dataset == dataset]
            variants = median(abs(seed) for one in own for seed in one.by_seed)
            row = [str(len(found)), number(median(means)), number(max(means)), significant, number(variants)]
            rows.append([NAMES[dataset], *row])
    header = ["test images", "pairs of runs", "difference, median", "largest", f"p < {LEVEL}"]
    header.append("median between variants of one seed")
    return markdown_table(header, rows)


def repeat_differences(scores: pd.DataFrame) -> list[Difference]:
    """Compare each two runs of the same variant on one data set."""
    found = []
    for _, own in scores.groupby("variant"):
        runs = own.pivot(index="id", columns="seed", values="jaccard")
        for one, other in combinations(runs, 2):
            found.append(compare_paired(runs[one].to_numpy(), runs[other].to_numpy()))
    return found


def steps_table() -> str:
    """Return one row per variant and evaluation: pooled score, and difference from the posterior mean."""
    results = study("evidence_steps")
    results = replace(results, scores=results.scores[results.scores["evaluation"].isin(MASKS)])
    header = ["training", "mask"]
    for dataset in results.datasets:
        header += [f"{NAMES[dataset]}: pooled", "difference per image"]
    rows = []
    for variant in results.variants:
        own = replace(results, variants=[variant])
        found = {(one.label, one.dataset): one for one in against_first_evaluation(own, "jaccard", "source")}
        for evaluation, mask in MASKS.items():
            scores = pooled(results, evaluation)
            cells = [
                cell
                for dataset in results.datasets
                for cell in (scores.get((variant, dataset), ""), difference(found.get((evaluation, dataset))))
            ]
            rows.append([variant, mask, *cells])
    return markdown_table(header, rows)


def peers_table() -> str:
    """Return one row per model and number of training images: scores, and differences from the first."""
    header = ["model", "images", "Jaccard, pooled", "Dice, pooled", "difference per image"]
    rows: dict[tuple[str, int], list[str]] = {}
    for name in PEERS:
        results = study(name)
        jaccard, dice = pooled(results), pooled(results, score="dice")
        found = {(one.label, one.dataset): one for one in compared(name, False)}
        for arm in product(results.variants, results.datasets):
            runs = [one for one in results.finished if (one.cell.variant, one.cell.dataset) == arm]
            if runs:
                images = runs[0].folder.account()["images"]
                row = [arm[0], f"{images:,}", jaccard[arm], dice[arm], difference(found.get(arm))]
                rows.setdefault((arm[0], images), row)
    return markdown_table(header, list(rows.values()))


def peers_figure() -> Figure:
    """Draw the learning curves of MLFFM-SegDiff from scratch and of the peers."""
    runs = list(study(PEERS[0]).finished)
    for one in study(PEERS[1]).finished:
        if one.cell.dataset != study(PEERS[1]).datasets[0]:
            name = f"{one.cell.variant}, {one.folder.account()['images']:,} images"
            runs.append(replace(one, cell=replace(one.cell, variant=name)))
    return curves_figure(runs, list(dict.fromkeys(one.cell.variant for one in runs)))


def properties_of(results: StudyResults, dataset: str) -> tuple[pd.DataFrame, list[ImageProperty]]:
    """Return the scores by image and variant, and the size, contrast and skin tone of the images."""
    own = dict(results.by_dataset())[dataset]
    return image_means(own, "jaccard"), [lesion_sizes(own), *measured_properties(results, dataset)]


def groups_table() -> str:
    """Return the baseline's score by size, contrast and skin tone on ISIC 2018."""
    scores, properties = properties_of(study("evidence"), "isic2018")
    return table_text(group_table(study("evidence"), "isic2018", scores, properties))


def correlations_table() -> str:
    """Return the rank correlation of size, contrast and skin tone with the baseline's score."""
    tables = []
    for dataset in study("evidence").datasets:
        scores, properties = properties_of(study("evidence"), dataset)
        shown = correlation_table(dataset, scores.iloc[:, 0], properties, MEASURED).shown
        tables.append(shown.assign(**{"test images": NAMES[dataset]}))
    joined = pd.concat(tables)
    columns = ["rho", "95 % interval", "p, Holm"]
    columns = [
        "test images",
        "images",
        "property",
        *columns,
        *(f"{name}, given the others" for name in columns),
    ]
    return markdown_table(columns, joined[columns].to_numpy().tolist())


def contrast_figure() -> Figure:
    """Draw the score of the baseline against contrast, and what the MLFFM and diffusion change there."""
    scores, (_, contrast, _) = properties_of(study("evidence"), "isic2018")
    return trend_figure(contrast.values, scores[list(SHOWN)], contrast.label)


def agreement_table(path: Path) -> str:
    """Return the score of each model by thirds of the agreement of people on the ISIC test images."""
    results = study("evidence")
    table = pd.read_csv(path).set_index("id")["mean_jaccard"]
    scores = image_means(dict(results.by_dataset())["isic2018"], "jaccard")
    known = table[table.index.intersection(scores.index)]
    thirds = in_thirds("agreement", "agreement", known, digits=2).groups
    groups = {third: thirds.index[thirds == third] for third in thirds.cat.categories}
    groups["one mask only"] = scores.index.difference(known.index)
    rows = []
    for name, ids in groups.items():
        means = [mean_interval(scores.loc[ids, model].to_numpy()) for model in SHOWN]
        people = number(known.reindex(ids).mean())
        rows.append([name, str(len(ids)), people, *(f"{number(one.mean)} ({one.ends()})" for one in means)])
    return markdown_table(["people with each other", "images", "mean", *SHOWN], rows)


def leak_table() -> str:
    """Return one row per pair of splits of HAM10000: mean Jaccard per image with each, and the difference."""
    results = study("evidence_leak")
    assert len(results.variants) == 1
    compared = split_table(results)
    assert compared is not None
    means = results.main_rows().groupby(["dataset", "seed"])["jaccard"].mean().unstack("dataset")
    rows = []
    for row in compared.shown.to_dict("records"):
        one, other = row["first split"], row["second split"]
        shown = f"{row['difference']} ({row['95 % interval']}), {p_text(row['p, Holm'])}"
        seeds = ", ".join(map(signed, (means[one] - means[other]).dropna()))
        rows.append(
            [
                SPLITS[one],
                SPLITS[other],
                row["test images"],
                row["Jaccard, first"],
                row["Jaccard, second"],
                shown,
                seeds,
            ]
        )
    header = [
        "split",
        "compared with",
        "test images",
        "Jaccard",
        "Jaccard of the other",
        "difference",
        "by seed",
    ]
    return markdown_table(header, rows)


def table_text(table: Table | None) -> str:
    """Return a table of a report as Markdown."""
    assert table is not None
    return table.markdown()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
