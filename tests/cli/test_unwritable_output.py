"""Every verb finds out before its work whether it can write what it will make."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]
VERBS = {
    "evaluate default -o": "evaluation.evaluate",
    "evaluate --masks A --truth B -o": "evaluation.evaluate_masks",
    "compare --masks a=A --masks b=B --truth C -o": "study.mask_comparison.find_runs",
    "predict A -o": "inference.reading.case_image.find_images",
    "predict A --shards tar -o": "inference.reading.listing.list_place",
    "benchmark -o": "benchmark.run.load_subject",
    "plan --save": "cli.plan_job.prepare_model",
    "plan --report": "cli.plan_job.prepare_model",
    "export default -o": "export.folder.write_whole",
    "train synthetic --run": "training.fit.load_split_cases",
    "study run evidence -o": "study.runner.make_plan",
    "data split folder A --sizes 1/1/1 -o": "data.table.read_cases",
    "data synthetic --count 1 -o": "data.synthetic.generator.synthetic_case",
    "data nnunet folder A -o": "cli.data._parts",
    "data nnunet folder A -o Dataset501_A --preprocessed": "cli.data._parts",
}
"""A command line up to the place of its output, and the first part of its work."""


def closed(parent: Path) -> Path:
    """A folder without permission to write; root, who has all, gets a file in place of the folder."""
    place = parent / "closed"
    if os.name == "posix" and os.geteuid() != 0:
        place.mkdir(mode=0o500)
    else:
        place.touch()
    return place


@pytest.mark.parametrize("below", ["Dataset501_A", "deep/Dataset501_A"])
@pytest.mark.parametrize(("line", "work"), VERBS.items(), ids=VERBS)
def test_work_starts_only_if_its_output_can_be_written(
    line: str, work: str, below: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object, **__: object) -> None:
        pytest.fail("the work was started")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"mlffm_segdiff.{work}", start)
    place = closed(tmp_path)
    status, _, error = command(*line.split(), place / below)
    assert (status, error.count("\n")) == (2, 1)
    assert f"{place}" in error
    assert "cannot be written" in error
    assert [path.name for path in tmp_path.iterdir()] == ["closed"]


@pytest.mark.parametrize("option", ["--save", "--report"])
def test_a_folder_in_place_of_the_file_of_a_plan_is_refused_at_once(
    option: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlffm_segdiff.cli.plan_job.prepare_model", None)
    status, _, error = command("plan", option, tmp_path)
    assert status == 2
    assert error.startswith(f"error: {tmp_path} cannot be written (Is a directory); a folder has this name")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="all folders can be written here")
def test_a_calibration_starts_only_if_the_folder_of_the_weights_can_be_written(
    command: Command, untrained: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlffm_segdiff.evaluation.evaluate", None)
    weights = untrained("synthetic", "model.size=tiny", "data.size=32")
    weights.chmod(0o500)
    given = ("--part", "val", "--calibrate", "-o", tmp_path / "scores")
    status, _, error = command("evaluate", weights, *given)
    weights.chmod(0o700)
    assert (status, error.count("\n")) == (2, 1)
    assert f"{weights} cannot be written (Permission denied)" in error
