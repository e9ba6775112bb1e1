"""The sample images of the package, segmented and compared with their exact masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from mlffm_segdiff.data.atomic import atomic_write, open_checked
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.contour import mask_contours
from mlffm_segdiff.data.files import Pixels, decode_image, decode_mask
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.metrics.overlap import Mask, count_pixels, jaccard

SUMMARY_FILE = "summary.png"
EXACT_COLOUR = "white"
PREDICTED_COLOUR = "cyan"
COLUMNS = 4
PANEL_INCHES = (3.0, 2.5)
DPI = 120


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
    """Segment the samples, write masks/, overlays/, predictions.csv and summary.png, and return the scores.

    Raises:
        UserError: The folder cannot be written.
    """
    images = sorted(samples_folder().glob("*.png"))
    output = Output(folder, ("overlay",))
    for _ in predict_files(images, model, output):
        pass
    scored = [score_sample(path, output.masks / path.name) for path in images]
    with atomic_write(folder / SUMMARY_FILE) as temporary, open_checked(temporary) as file:
        summary_figure(scored).savefig(file, format="png", dpi=DPI)
    return scored


def score_sample(image: Path, predicted: Path) -> ScoredSample:
    """Return a sample, given its image and the file of its predicted mask, with its score."""
    exact, found = (_read_mask(path) for path in (image.parent / "masks" / image.name, predicted))
    score = jaccard(count_pixels(found, exact))
    return ScoredSample(image.stem, decode_image(Entry(image).read(), str(image)), exact, found, score)


def summary_figure(samples: Sequence[ScoredSample]) -> Figure:
    """Draw each sample with its exact and predicted outline and their Jaccard, under the mean."""
    rows = -(-len(samples) // COLUMNS)
    figure = Figure(figsize=(PANEL_INCHES[0] * COLUMNS, PANEL_INCHES[1] * rows + 0.8), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, sample in zip(panels, samples, strict=False):
        _draw_sample(panel, sample)
    mean = float(np.mean([sample.jaccard for sample in samples]))
    figure.suptitle(f"MLFFM-SegDiff on its {len(samples)} synthetic samples: mean Jaccard {mean:.3f}")
    colours = (EXACT_COLOUR, PREDICTED_COLOUR)
    handles = [Line2D([], [], color=colour, path_effects=_casing(2)) for colour in colours]
    figure.legend(handles, ["exact", "predicted"], loc="outside lower center", ncols=2, frameon=False)
    return figure


def _read_mask(path: Path) -> Mask:
    return decode_mask(Entry(path).read(), str(path))


def _draw_sample(panel: Axes, sample: ScoredSample) -> None:
    panel.imshow(sample.image)
    for mask, colour in ((sample.exact, EXACT_COLOUR), (sample.predicted, PREDICTED_COLOUR)):
        for contour in mask_contours(mask):
            panel.plot(contour[:, 1], contour[:, 0], color=colour, linewidth=1.2, path_effects=_casing(2.4))
    panel.set_title(f"{sample.name}   Jaccard {sample.jaccard:.3f}", fontsize=9, parse_math=False)


def _casing(width: float) -> list[Stroke | Normal]:
    return [Stroke(linewidth=width, foreground="black"), Normal()]
