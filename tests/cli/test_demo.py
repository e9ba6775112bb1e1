from pathlib import Path

import pytest
import torch

from mlffm_segdiff.build.pretrained import save_segmenter
from mlffm_segdiff.build.segmenter import build_segmenter
from mlffm_segdiff.cli.app import run
from mlffm_segdiff.config.load import load_recipe
from mlffm_segdiff.inference.demo import samples_folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    recipe = load_recipe("isic2018", ["model.size=tiny", "data.size=32", "sampling.steps=1"])
    torch.manual_seed(0)
    save_segmenter(build_segmenter(recipe), recipe, tmp_path / "weights")
    return tmp_path / "weights"


def test_the_demo_tells_each_score_their_mean_and_the_folder(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    assert run(["demo", "-o", str(folder), "--weights", str(weights), "--threads", "1"]) == 0
    out = capsys.readouterr().out
    names = sorted(path.stem for path in samples_folder().glob("*.png"))
    table = [line.split("│")[1:3] for line in out.splitlines() if "│" in line]
    cells = {name.strip(): float(score) for name, score in table}
    assert sorted(cells) == ["mean", *names]
    assert cells["mean"] == pytest.approx(sum(cells[name] for name in names) / len(names), abs=1e-4)
    assert out.splitlines()[-1].endswith(str(folder))
    assert sorted(path.name for path in folder.iterdir()) == [
        "masks",
        "overlays",
        "predictions.csv",
        "summary.png",
    ]


def test_a_folder_that_cannot_be_written_ends_in_one_line(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(["demo", "-o", str(tmp_path / "file"), "--weights", str(weights)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "cannot be written" in err
