"""Measure the outlier detector of the default weights: outlier_table.py DATA

DATA has the folders isic2018, ph2 and ham10000 (the official archives), whose test images should pass, and
clinical/images, wounds/images and not_dermoscopy with images that should be flagged, of which every other
one is measured: the rest served to compare detectors. Other images that should be flagged are drawn here.
Prints tables in Markdown for docs/OUTLIERS.md.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest, mannwhitneyu

from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.inference.model import Model, load_model
from mlffm_segdiff.inference.reading.case_image import pil_image, read_image
from mlffm_segdiff.segmenters.recipe import load_recipe

SETS = ("isic2018", "ph2", "ham10000")
FOLDERS = {
    "clinical photographs": "clinical/images",
    "foot ulcers": "wounds/images",
    "everyday images": "not_dermoscopy",
}
DRAWN, SIDE, BATCH = 50, 300, 16

Pixels = npt.NDArray[np.uint8]


def plain(generator: np.random.Generator) -> Image.Image:
    """Draw one colour with the noise of a camera."""
    colour = generator.integers(0, 256, 3) + generator.normal(0, 2, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8))


def noise(generator: np.random.Generator) -> Image.Image:
    """Draw noise of a random coarseness."""
    values = gaussian_filter(generator.normal(size=(SIDE, SIDE, 3)), (*[generator.uniform(0, 4)] * 2, 0))
    return Image.fromarray(np.clip(128 + 60 * values / values.std(), 0, 255).astype(np.uint8))


def text(generator: np.random.Generator) -> Image.Image:
    """Draw a page of text."""
    page = Image.new("RGB", (SIDE, SIDE), tuple(generator.integers(200, 256, 3)))
    for line in range(5, SIDE, int(generator.integers(10, 30))):
        letters = "".join(map(chr, generator.integers(97, 123, 45)))
        ImageDraw.Draw(page).text((5, line), letters, (0, 0, 0), font_size=int(generator.integers(8, 16)))
    return page


def window(generator: np.random.Generator) -> Image.Image:
    """Draw a screen of boxes, lines and words."""
    page = text(generator)
    for _ in range(12):
        left, top = generator.integers(0, SIDE - 40, 2)
        box = (left, top, left + generator.integers(20, 160), top + generator.integers(8, 80))
        ImageDraw.Draw(page).rectangle(
            tuple(map(int, box)), tuple(generator.integers(0, 256, 3)), outline="black"
        )
    return page


def gradient(generator: np.random.Generator) -> Image.Image:
    """Draw a gradient between two colours in a random direction."""
    angle, ends = generator.uniform(0, 2 * np.pi), generator.integers(0, 256, (2, 3))
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    share = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1)[..., None]
    return Image.fromarray((ends[0] * share + ends[1] * (1 - share)).astype(np.uint8))


DRAWINGS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "one colour, with noise": plain,
    "noise": noise,
    "text": text,
    "screens": window,
    "gradients": gradient,
}


def scores(model: Model, images: Sequence[Pixels]) -> npt.NDArray[np.float64]:
    """Return the outlier scores of images of the network's size."""
    assert model.outliers is not None
    found = []
    for start in range(0, len(images), BATCH):
        for one in model.segment(list(images[start : start + BATCH]), lambda _: None):
            assert one.features is not None
            found.append(model.outliers.score(one.features).score)
    return np.array(found)


def outsiders(data: Path, size: int) -> Iterator[tuple[str, list[Pixels]]]:
    """Yield the sets of images that should be flagged."""
    for name, folder in FOLDERS.items():
        paths = sorted((data / folder).iterdir())[1::2]
        yield name, [read_image(path, size).network_input for path in paths]
    for name, draw in DRAWINGS.items():
        generator = np.random.default_rng(0)
        yield name, [pil_image(draw(generator), size, name).network_input for _ in range(DRAWN)]


def share(flagged: npt.NDArray[np.bool_]) -> str:
    """Return the share of flagged images with its exact 95 % binomial interval."""
    found = binomtest(int(flagged.sum()), len(flagged))
    low, high = found.proportion_ci()
    return f"{100 * found.statistic:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def main(data: Path) -> None:
    """Print both tables."""
    model = load_model("default")
    assert model.outliers is not None
    inside = {}
    print("| test images | images | flagged |\n|:--|--:|--:|")
    for name in SETS:
        recipe = load_recipe(name, [f"data.sources.{name}={data / name}"])
        images = open_split(load_split_cases(recipe.data), "test", model.size).images
        inside[name] = scores(model, images)
        print(f"| {name} | {len(images)} | {share(inside[name] > 1)} |", flush=True)
    print("\n| other images | images | flagged |", " | ".join(f"AUROC, {name}" for name in SETS), "|")
    print("|:--|--:|--:|--:|--:|--:|")
    for name, outside in outsiders(data, model.size):
        found = scores(model, outside)
        areas = [mannwhitneyu(found, one).statistic / (len(found) * len(one)) for one in inside.values()]
        cells = " | ".join(f"{area:.3f}" for area in areas)
        print(f"| {name} | {len(found)} | {share(found > 1)} | {cells} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
