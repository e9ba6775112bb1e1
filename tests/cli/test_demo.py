import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.outputs.journal import JOURNAL

Command = Callable[..., tuple[int, str, str]]


def test_the_demo_prints_each_score_their_mean_and_the_folder(
    tmp_path: Path, trained: Path, command: Command
) -> None:
    folder = tmp_path / "demo"
    status, out, _ = command("demo", "-o", folder, "--weights", trained, "--threads", "1")
    assert status == 0
    names = sorted(path.stem for path in samples_folder().glob("*.png"))
    table = [line.split("│")[1:3] for line in out.splitlines() if "│" in line]
    cells = {name.strip(): float(score) for name, score in table}
    assert sorted(cells) == ["mean", *names]
    assert cells["mean"] == pytest.approx(sum(cells[name] for name in names) / len(names), abs=1e-4)
    assert out.splitlines()[-1].endswith(str(folder))
    written = sorted(path.name for path in folder.iterdir() if path.name != JOURNAL)
    assert written == ["masks", "overlays", "predictions.csv", "summary.png"]


def test_a_folder_that_cannot_be_written_ends_in_one_line(
    tmp_path: Path, trained: Path, command: Command
) -> None:
    (tmp_path / "file").touch()
    status, out, err = command("demo", "-o", tmp_path / "file", "--weights", trained)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "cannot be written" in err


def test_json_has_the_scores_and_quiet_prints_nothing(
    tmp_path: Path, trained: Path, command: Command
) -> None:
    folder = tmp_path / "demo"
    where = ("demo", "-o", folder, "--weights", trained, "--threads", "1", "--quiet")
    assert command(*where) == (0, "", "")
    status, out, error = command(*where, "--json")
    assert (status, error) == (0, "")
    found = json.loads(out)
    assert found["output"] == str(folder)
    scores = [sample["jaccard"] for sample in found["samples"]]
    assert found["mean_jaccard"] == pytest.approx(sum(scores) / len(scores))
    assert {one["name"] for one in found["samples"]} == {path.stem for path in samples_folder().glob("*.png")}
