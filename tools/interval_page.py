"""Write the tables and figures of INTERVALS.md and its details, from docs/intervals/*.csv and the samples.

SET_STYLE.csv is the coverage.csv of `mlffm-segdiff evaluate default --style STYLE --source SET=FOLDER`,
small_sets.csv the table of tools/small_set_coverage.py.
"""

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from mlffm_segdiff.evaluation.coverage import ALL, APPLIED, SIDES, Coverage
from mlffm_segdiff.evaluation.coverage_figure import coverage_figure
from mlffm_segdiff.evaluation.figures import save_figure
from mlffm_segdiff.evaluation.report import markdown_table
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.outputs.overlay import draw_outline
from mlffm_segdiff.inference.segmenter import Segmenter
from mlffm_segdiff.metrics.case_bounds import LEVELS
from mlffm_segdiff.metrics.conformal import covered_cases
from mlffm_segdiff.segmenters.calibration import QUALITY, Quality
from mlffm_segdiff.segmenters.saved_weights import DEFAULT, DEFAULT_SHA256, weights_folder

DOCS = Path(__file__).parent.parent / "docs"
RESULTS = DOCS / "intervals"
PAGES = (DOCS / "INTERVALS.md", RESULTS / "details.md")
NAMES = {"isic2018": "ISIC 2018", "ph2": "PH2", "ham10000": "HAM10000", "clinical": "clinical"}
BOUNDS = ("area", "dice", "outer", "inner")
TITLES = ("area", "Dice", "outer contour", "inner contour")
FAR = 0.02
"""Deviation of a coverage from its level that counts as far."""
SAMPLES = ("sample_2", "sample_6")
INNER, OUTER = (255, 176, 0), (255, 64, 129)
MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Rewrite the tables between the marks of the pages, and the figures."""
    own = {name: read(name, name) for name in ("isic2018", "ph2", "ham10000")}
    anyone = {name: read(name, "any") for name in NAMES}
    quality = QUALITY.read(weights_folder(DEFAULT), DEFAULT_SHA256)
    assert quality is not None
    tables = {
        "own": own_table(own, quality),
        "expected": expected_table(own, quality),
        "small": small_table(),
        "any": levels_table(anyone, APPLIED),
        "cross": levels_table(anyone, "isic2018"),
        "mean": levels_table(own, APPLIED, ("mean outer", "mean inner"), ("outer contour", "inner contour")),
        "strata": strata_table(own),
    }
    for page in PAGES:
        text = MARKED.sub(lambda found: found[1] + tables[found[2]] + found[3], page.read_text("utf-8"))
        page.write_text(text, encoding="utf-8")
    shown = [one for rows in own.values() for one in rows if one.calibrated_on == APPLIED]
    save_figure(coverage_figure(shown), RESULTS / "coverage.png")
    draw_bands(RESULTS / "band.jpg")


def read(name: str, style: str) -> list[Coverage]:
    """Return the rows of a coverage.csv."""
    types: dict[str, Callable[[str], object]] = {"str": str, "int": int, "float": float}
    types["float | None"] = lambda cell: float(cell) if cell else None
    kinds = {field.name: types[str(field.type)] for field in fields(Coverage)}
    with (RESULTS / f"{name}_{style}.csv").open(encoding="utf-8") as file:
        return [
            Coverage(**{key: kinds[key](value) for key, value in row.items()}) for row in csv.DictReader(file)
        ]


def own_table(results: dict[str, list[Coverage]], quality: Quality) -> str:
    """Return coverage and width of each set, calibrated on itself in its own style."""
    header = ["test images", "calibrated on", "level", *TITLES, "expected: intervals", "contours"]
    header += ["width of area", "of Dice", "naive area", "width"]
    rows = []
    for name, found in results.items():
        count = quality.styles[name].sets[name].cases
        for level in levels(found):
            one = {bound: pick(found, bound, level) for bound in (*BOUNDS, "area, naive")}
            naive = one["area, naive"]
            widths = (f"{one['area'].width:.2f}", f"{one['dice'].width:.3f}")
            rows.append(
                [
                    f"{NAMES[name]}, {one['area'].cases}",
                    str(count),
                    f"{100 * level:.0f} %",
                    *(marked(one[bound]) for bound in BOUNDS),
                    *(expected(one[bound]) for bound in ("area", "outer")),
                    *widths,
                    f"{100 * naive.reached:.1f}",
                    f"{naive.width:.2f}",
                ]
            )
    return markdown_table(header, rows)


def levels_table(
    results: dict[str, list[Coverage]],
    calibrated_on: str,
    bounds: Iterable[str] = BOUNDS,
    titles: Iterable[str] = TITLES,
) -> str:
    """Return the coverage of each set at each level by one calibration."""
    rows = [
        [
            f"{NAMES[name]}, {pick(found, 'area', level, calibrated_on).cases}",
            f"{100 * level:.0f} %",
            *(reached(pick(found, bound, level, calibrated_on)) for bound in bounds),
        ]
        for name, found in results.items()
        for level in levels(found, calibrated_on)
    ]
    return markdown_table(["test images", "level", *titles], rows)


def strata_table(results: dict[str, list[Coverage]]) -> str:
    """Return the coverage in each stratum of each set; the levels are separated by slashes."""
    rows = []
    for name, found in results.items():
        for stratum in dict.fromkeys(one.stratum for one in found if one.stratum != ALL):
            cells = [
                [pick(found, bound, level, APPLIED, stratum) for level in levels(found)] for bound in BOUNDS
            ]
            shown = [" / ".join(f"{100 * one.reached:.0f}" for one in ones) for ones in cells]
            rows.append([f"{NAMES[name]}, {stratum}", str(cells[0][0].cases), *shown])
    return markdown_table(["test images", "cases", *TITLES], rows)


def levels(found: list[Coverage], calibrated_on: str = APPLIED) -> list[float]:
    """Return the offered levels of a calibration."""
    calibrated = {one.level for one in found if one.calibrated_on == calibrated_on}
    return [level for level in LEVELS if level in calibrated]


def pick(
    found: list[Coverage], bound: str, level: float, calibrated_on: str = APPLIED, stratum: str = ALL
) -> Coverage:
    """Return the one row of these keys."""
    wanted = (stratum, calibrated_on, bound, level)
    matches: Callable[[Coverage], bool] = lambda one: (  # noqa: E731
        (one.stratum, one.calibrated_on, one.bound, one.level) == wanted
    )
    (one,) = filter(matches, found)
    return one


def reached(one: Coverage) -> str:
    """Return the coverage in percent with its interval."""
    return f"{100 * one.reached:.1f} ({100 * one.low:.0f} to {100 * one.high:.0f})"


def marked(one: Coverage) -> str:
    """Return the coverage with its interval, in bold outside of the range for exchangeable cases."""
    return f"**{reached(one)}**" if outside(one) else reached(one)


def outside(one: Coverage) -> bool:
    """Return whether the coverage is outside of the range for exchangeable cases."""
    low, high = one.expected_low, one.expected_high
    return (low is not None and one.reached < low) or (high is not None and one.reached > high)


def expected(one: Coverage) -> str:
    """Return the range of the coverage for exchangeable cases, in percent."""
    if one.expected_low is None:
        return ""
    low, high = 100 * one.expected_low, one.expected_high
    return f"at least {low:.0f}" if high is None else f"{low:.1f} to {100 * high:.1f}"


def expected_table(results: dict[str, list[Coverage]], quality: Quality) -> str:
    """Return how many cells of `own_table` deviate, and how many would if all cases were exchangeable."""
    rows = []
    for name, found in results.items():
        calibrated = quality.styles[name].sets[name]
        if calibrated.lenders:
            continue
        cells = [pick(found, bound, level) for bound, level in product(BOUNDS, levels(found))]
        far = sum(abs(one.reached - one.level) > FAR for one in cells)
        chances = [far_chance(one, calibrated.cases) for one in cells]
        beyond = sum(map(outside, cells))
        numbers = (len(cells), far, f"{sum(chances):.1f}", beyond, f"{0.05 * len(cells):.1f}")
        rows.append([NAMES[name], *map(str, numbers)])
    header = ["test images", "cells", "further than 2 points", "expected", "outside of the range"]
    return markdown_table([*header, "expected, at most"], rows)


def far_chance(one: Coverage, calibrated: int) -> float:
    """Return the probability of a coverage further than `FAR` from nominal, for exchangeable cases."""
    covered = covered_cases(calibrated, one.cases, one.level, SIDES[one.bound])
    count = np.arange(one.cases + 1)
    return float(covered.pmf(count)[np.abs(count / one.cases - one.level) > FAR].sum())


def small_table() -> str:
    """Return how rules for small sets hold, over populations and bounds, from small_sets.csv."""
    with (RESULTS / "small_sets.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sizes, rules = (list(dict.fromkeys(row[key] for row in rows)) for key in ("cases", "rule"))
    found = {}
    for row in rows:
        numbers = [float(row[key]) for key in ("mean", "deviation", "short", "width")]
        found.setdefault((row["level"], row["rule"], row["cases"]), []).append(numbers)
    table = []
    for level, rule in product(dict.fromkeys(row["level"] for row in rows), rules):
        cells = [small_cell(found.get((level, rule, size))) for size in sizes]
        widths = [np.array(found.get((level, one, sizes[-1])))[:, 3] for one in (rule, rules[0])]
        table.append([f"{100 * float(level):g} %", rule, *cells, f"{np.median(widths[0] / widths[1]):.2f}"])
    header = ["level", "rule", *(f"{size} cases" for size in sizes), f"width, {sizes[-1]} cases"]
    return markdown_table(header, table)


def small_cell(found: list[list[float]] | None) -> str:
    """Return mean coverage, its deviation between small sets, and how many are short (in the worst cell)."""
    if found is None:
        return ""
    values = 100 * np.array(found)
    mean, deviation, short = values[:, :3].mean(axis=0)
    return f"{mean:.1f} ± {deviation:.1f}, {short:.0f} % ({values[:, 2].max():.0f} %)"


def draw_bands(path: Path) -> None:
    """Draw mask, inner and outer contour at each level on samples of the package, and print their numbers."""
    segmenter = Segmenter.from_pretrained(DEFAULT)
    strips = []
    for name in SAMPLES:
        source = samples_folder() / f"{name}.png"
        result = segmenter.segment(source)
        print(f"{name}: area {result.area}, Dice {result.expected_dice}, {result.calibration_cases}")
        for level in result.levels:
            image, band = Image.open(source).convert("RGB"), result.contours(level)
            assert band is not None
            for mask, colour in ((result.mask, (0, 255, 255)), (band.inner, INNER), (band.outer, OUTER)):
                draw_outline(image, mask, colour)
            strips.append(image)
    width, height = strips[0].size
    columns = len(strips) // len(SAMPLES)
    sheet = Image.new("RGB", (columns * width, len(SAMPLES) * height))
    for number, image in enumerate(strips):
        sheet.paste(image.resize((width, height)), (number % columns * width, number // columns * height))
    sheet.save(path, quality=85)


if __name__ == "__main__":
    main()
