from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.dataset import PairDataset
from mlffm_segdiff.data.sources import SplitCases
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.training import figures as drawing
from mlffm_segdiff.training.metrics_log import MetricsLog
from mlffm_segdiff.training.run_folder import RunFolder

CASES = SplitCases({"train": [], "val": [], "test": []}, "abc", {})


@pytest.fixture
def folder(recipe: Recipe, tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path)
    made.create(recipe, CASES)
    log = MetricsLog(made.metrics)
    for epoch, (loss, score) in enumerate([(1.5, 0.2), (1.0, 0.6)]):
        log.log_metrics({"val_jaccard": score, "epoch": epoch}, 12 * epoch + 11)
        log.log_metrics({"loss": loss, "epoch": epoch}, 12 * epoch + 11)
    return made


def test_curves_are_drawn_over_images_seen(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(drawing, "_save", lambda figure, path: figures.append(figure))
    drawing.draw_curves(folder)
    loss, score = (panel.get_lines()[0] for panel in figures[0].axes)
    np.testing.assert_allclose(loss.get_xydata(), [[48, 1.5], [96, 1.0]])
    np.testing.assert_allclose(score.get_xydata(), [[48, 0.2], [96, 0.6]])


def test_curves_and_overlays_are_images(recipe: Recipe, folder: RunFolder) -> None:
    images = np.random.default_rng(0).integers(0, 256, (14, 32, 32, 3), dtype=np.uint8)
    masks = np.zeros((14, 32, 32), np.uint8)
    masks[2:, 8:20, 8:20] = 1
    masks[13] = 1  # an empty and a full mask have no outline
    dataset = PairDataset(images, masks, [f"case {n}" for n in range(14)], None, 0)
    drawn = [
        drawing.draw_curves(folder),
        drawing.draw_overlays(build_segmenter(recipe), recipe, dataset, folder),
    ]
    assert [path.name for path in drawn] == ["curves.png", "overlays.png"]
    for path in drawn:
        with Image.open(path) as saved:
            assert min(saved.size) > 300
            assert len(set(saved.convert("L").tobytes())) > 10


def test_the_true_outline_is_where_the_mask_is(
    recipe: Recipe, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(drawing, "_save", lambda figure, path: figures.append(figure))
    mask = np.zeros((1, 32, 32), np.uint8)
    mask[0, 8:20, 10:25] = 1
    dataset = PairDataset(np.zeros((1, 32, 32, 3), np.uint8), mask, ["a"], None, 0)
    drawing.draw_overlays(build_segmenter(recipe), recipe, dataset, folder)
    outline = figures[0].axes[0].get_lines()[0].get_xydata()
    np.testing.assert_allclose([outline.min(axis=0), outline.max(axis=0)], [[9.5, 7.5], [24.5, 19.5]])
