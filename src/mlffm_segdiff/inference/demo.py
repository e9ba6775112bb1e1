"""The sample images of the package, segmented and compared with their exact masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.files import Pixels, decode_image, decode_mask
from mlffm_segdiff.files.results_folder import require_own
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.image_file import save_image
from mlffm_segdiff.inference.outputs.journal import JOURNAL
from mlffm_segdiff.inference.outputs.overlay import Colour, draw_outline
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.metrics.overlap import Mask, count_pixels, jaccard

SUMMARY_FILE = "summary.png"
OUTLINES: dict[str, Colour] = {"exact": (255, 255, 255), "predicted": (0, 255, 255)}
COLUMNS = 4
PANEL = (300, 225)
LINE = 28
INK = (32, 32, 32)


@dataclass(frozen=True)
class ScoredSample:
    """A sample: image HxWx3 uint8, its exact and its predicted mask (HxW bool), and their Jaccard."""

    name: str
    image: Pixels
    exact: Mask
    predicted: Mask
    jaccard: float


def samples_folder() -> Path:
    """Return the folder of the package's sample images, with their exact masks in masks/."""
    return Path(str(files("mlffm_segdiff") / "samples"))


def run_demo(model: Model, folder: Path) -> list[ScoredSample]:
    """Segment the samples, and write masks/, overlays/, predictions.csv and summary.png.

    Args:
        model: Model that segments the samples.
        folder: Folder to write to.

    Returns:
        Scores of each sample.

    Raises:
        UserError: The folder cannot be written, or has files of something else under these names.
    """
    require_own(folder, [SUMMARY_FILE], [SUMMARY_FILE] if (folder / JOURNAL).is_file() else [])
    images = sorted(samples_folder().glob("*.png"))
    output = Output(folder, ("overlay",))
    for _ in predict_files(images, model, output):
        pass
    scored = [score_sample(path, output.masks / path.name) for path in images]
    save_image(summary_image(scored), folder / SUMMARY_FILE)
    return scored


def score_sample(image: Path, predicted: Path) -> ScoredSample:
    """Return a sample, given its image and the file of its predicted mask, with its score."""
    exact, found = (_read_mask(path) for path in (image.parent / "masks" / image.name, predicted))
    score = jaccard(count_pixels(found, exact))
    return ScoredSample(image.stem, decode_image(Entry(image).read(), str(image)), exact, found, score)


def summary_image(samples: Sequence[ScoredSample]) -> Image.Image:
    """Draw each sample with its exact and predicted outline and their Jaccard, under the mean."""
    mean = float(np.mean([sample.jaccard for sample in samples]))
    width, height = PANEL
    rows = -(-len(samples) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, 2 * LINE + rows * (height + LINE)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=LINE // 2)
    title = f"MLFFM-SegDiff on its {len(samples)} synthetic samples: mean Jaccard {mean:.3f}"
    draw.text((sheet.width // 2, LINE // 2), title, INK, font, anchor="mm")
    for number, sample in enumerate(samples):
        left, top = number % COLUMNS * width, LINE + number // COLUMNS * (height + LINE)
        label = f"{sample.name}   Jaccard {sample.jaccard:.3f}"
        draw.text((left + width // 2, top + LINE // 2), label, INK, font, anchor="mm")
        sheet.paste(_panel(sample), (left, top + LINE))
    for place, (name, colour) in zip((0.4, 0.55), OUTLINES.items(), strict=True):
        left, middle = round(place * sheet.width), sheet.height - LINE // 2
        draw.line((left, middle, left + LINE, middle), "black", 6)
        draw.line((left, middle, left + LINE, middle), colour, 2)
        draw.text((left + LINE + 8, middle), name, INK, font, anchor="lm")
    return sheet


def _read_mask(path: Path) -> Mask:
    return decode_mask(Entry(path).read(), str(path))


def _panel(sample: ScoredSample) -> Image.Image:
    image = Image.fromarray(sample.image)
    for mask, colour in zip((sample.exact, sample.predicted), OUTLINES.values(), strict=True):
        draw_outline(image, mask, colour)
    return ImageOps.pad(image, PANEL, color="white")
