from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image

from mlffm_segdiff.inference.demo import (
    EXACT_COLOUR,
    PREDICTED_COLOUR,
    ScoredSample,
    run_demo,
    samples_folder,
    score_sample,
    summary_figure,
)
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.journal import JOURNAL


def test_the_package_holds_samples_with_masks_of_their_size() -> None:
    samples = sorted(samples_folder().glob("*.png"))
    assert len(samples) >= 6
    for path in samples:
        with Image.open(path) as image, Image.open(path.parent / "masks" / path.name) as mask:
            assert image.size == mask.size
            assert set(np.unique(np.asarray(mask)).tolist()) == {0, 255}


def test_the_demo_writes_masks_overlays_and_a_summary_and_scores_them(
    tmp_path: Path, red_model: Callable[..., Model]
) -> None:
    scored = run_demo(red_model(size=16), tmp_path / "demo")
    names = sorted(path.stem for path in samples_folder().glob("*.png"))
    assert [sample.name for sample in scored] == names
    written = sorted(str(path.relative_to(tmp_path / "demo")) for path in (tmp_path / "demo").rglob("*.*"))
    assert written == sorted(
        [
            JOURNAL,
            "predictions.csv",
            "summary.png",
            *(f"{kind}" for name in names for kind in (f"masks/{name}.png", f"overlays/{name}.jpg")),
        ]
    )
    for sample in scored:
        exact, found = (
            np.asarray(Image.open(folder / "masks" / f"{sample.name}.png")) > 127
            for folder in (samples_folder(), tmp_path / "demo")
        )
        assert sample.jaccard == pytest.approx((exact & found).sum() / (exact | found).sum())
    with Image.open(tmp_path / "demo" / "summary.png") as saved:
        assert min(saved.size) > 400


def test_a_perfect_mask_scores_one() -> None:
    path = samples_folder() / "sample_1.png"
    scored = score_sample(path, samples_folder() / "masks" / "sample_1.png")
    assert (scored.name, scored.jaccard) == ("sample_1", 1)
    assert scored.image.shape[:2] == scored.exact.shape


def test_the_summary_shows_both_outlines_the_scores_and_their_mean() -> None:
    exact, predicted = np.zeros((2, 20, 30), bool)
    exact[5:15, 8:20], predicted[5:15, 8:14] = True, True
    image = np.full((20, 30, 3), 99, np.uint8)
    samples = [
        ScoredSample(f"s{n}", image, exact, predicted, score)
        for n, score in enumerate([0.5, 0.25, 0.75, 1, 0])
    ]
    samples[4] = ScoredSample("s4", image, exact, np.zeros_like(exact), 0.0)
    figure = summary_figure(samples)
    assert "0.500" in figure.get_suptitle()
    panels = figure.axes
    assert [panel.get_title() for panel in panels[:2]] == ["s0   Jaccard 0.500", "s1   Jaccard 0.250"]
    ends = {
        to_rgba(line.get_color()): [
            *np.asarray(line.get_xydata()).min(axis=0),
            *np.asarray(line.get_xydata()).max(axis=0),
        ]
        for line in panels[0].lines
    }
    assert ends == {
        to_rgba(EXACT_COLOUR): [7.5, 4.5, 19.5, 14.5],
        to_rgba(PREDICTED_COLOUR): [7.5, 4.5, 13.5, 14.5],
    }
    assert [len(panel.lines) for panel in panels] == [2, 2, 2, 2, 1, 0, 0, 0]
