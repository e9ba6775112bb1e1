"""Write the tables and figures of docs/INTERVALS.md, from docs/intervals/SET_STYLE.csv and the samples.

Each CSV is the coverage.csv of `mlffm-segdiff evaluate default --style STYLE --source SET=FOLDER`.
"""

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

from PIL import Image

from mlffm_segdiff.evaluation.coverage import ALL, APPLIED, Coverage
from mlffm_segdiff.evaluation.coverage_figure import coverage_figure
from mlffm_segdiff.evaluation.figures import save_figure
from mlffm_segdiff.evaluation.report import markdown_table
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.outputs.overlay import draw_outline
from mlffm_segdiff.inference.segmenter import Segmenter
from mlffm_segdiff.segmenters.calibration import QUALITY, Quality
from mlffm_segdiff.segmenters.saved_weights import DEFAULT, DEFAULT_SHA256, weights_folder

DOCS = Path(__file__).parent.parent / "docs"
PAGE, RESULTS = DOCS / "INTERVALS.md", DOCS / "intervals"
NAMES = {"isic2018": "ISIC 2018", "ph2": "PH2", "ham10000": "HAM10000", "clinical": "clinical"}
BOUNDS = ("area", "dice", "outer", "inner")
TITLES = ("area", "Dice", "outer contour", "inner contour")
SAMPLES = ("sample_2", "sample_6")
INNER, OUTER = (255, 176, 0), (255, 64, 129)
MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Rewrite the tables between the marks of the page, and the figures."""
    own = {name: read(name, name) for name in ("isic2018", "ph2", "ham10000")}
    anyone = {name: read(name, "any") for name in NAMES}
    quality = QUALITY.read(weights_folder(DEFAULT), DEFAULT_SHA256)
    assert quality is not None
    tables = {
        "own": own_table(own, quality),
        "any": levels_table(anyone, APPLIED),
        "cross": levels_table(anyone, "isic2018"),
        "mean": levels_table(own, APPLIED, ("mean outer", "mean inner"), ("outer contour", "inner contour")),
        "strata": strata_table(own),
    }
    text = PAGE.read_text("utf-8")
    PAGE.write_text(MARKED.sub(lambda found: found[1] + tables[found[2]] + found[3], text), encoding="utf-8")
    shown = [one for rows in own.values() for one in rows if one.calibrated_on == APPLIED]
    save_figure(coverage_figure(shown), RESULTS / "coverage.png")
    draw_bands(RESULTS / "band.jpg")


def read(name: str, style: str) -> list[Coverage]:
    """Return the rows of a coverage.csv."""
    types = {"str": str, "int": int, "float": float}
    kinds = {field.name: types[str(field.type)] for field in fields(Coverage)}
    with (RESULTS / f"{name}_{style}.csv").open(encoding="utf-8") as file:
        return [
            Coverage(**{key: kinds[key](value) for key, value in row.items()}) for row in csv.DictReader(file)
        ]


def own_table(results: dict[str, list[Coverage]], quality: Quality) -> str:
    """Return coverage and width of each set, calibrated on itself in its own style."""
    header = ["test images", "calibrated on", "level", *TITLES]
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
                    *(reached(one[bound]) for bound in BOUNDS),
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
    """Return the levels of a calibration."""
    return sorted({one.level for one in found if one.calibrated_on == calibrated_on})


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
