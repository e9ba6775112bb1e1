from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.demo import (
    COLUMNS,
    LINE,
    OUTLINES,
    PANEL,
    ScoredSample,
    run_demo,
    samples_folder,
    score_sample,
    summary_image,
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


def test_a_summary_that_is_not_the_demos_is_kept(tmp_path: Path, red_model: Callable[..., Model]) -> None:
    (tmp_path / "summary.png").write_text("mine")
    with pytest.raises(UserError, match=r"summary\.png exists, but no earlier run wrote it"):
        run_demo(red_model(size=16), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.png"]
    assert (tmp_path / "summary.png").read_text() == "mine"
    for _ in range(2):
        run_demo(red_model(size=16), tmp_path / "again")


def test_a_perfect_mask_scores_one() -> None:
    path = samples_folder() / "sample_1.png"
    scored = score_sample(path, samples_folder() / "masks" / "sample_1.png")
    assert (scored.name, scored.jaccard) == ("sample_1", 1)
    assert scored.image.shape[:2] == scored.exact.shape


def test_the_summary_shows_both_outlines_on_each_sample() -> None:
    exact, predicted = np.zeros((2, 225, 300), bool)
    exact[50:200, 80:280], predicted[100:150, 100:140] = True, True
    image = np.full((225, 300, 3), 99, np.uint8)
    samples = [ScoredSample(f"s{n}", image, exact, predicted, 0.5) for n in range(4)]
    samples.append(ScoredSample("s4", image, exact, np.zeros_like(exact), 0.0))
    sheet = np.asarray(summary_image(samples))
    assert sheet.shape == (2 * (PANEL[1] + LINE) + 2 * LINE, COLUMNS * PANEL[0], 3)
    for number in range(5):
        left, top = number % COLUMNS * PANEL[0], 2 * LINE + number // COLUMNS * (PANEL[1] + LINE)
        panel = sheet[top : top + PANEL[1], left : left + PANEL[0]]
        for name, mask in (("exact", exact), ("predicted", samples[number].predicted)):
            rows, columns = np.nonzero((panel == OUTLINES[name]).all(axis=2))
            if not mask.any():
                assert not len(rows)
                continue
            found = [rows.min(), rows.max(), columns.min(), columns.max()]
            expected = np.nonzero(mask)
            ends = [expected[0].min(), expected[0].max(), expected[1].min(), expected[1].max()]
            assert found == pytest.approx(ends, abs=1), (number, name)
