"""A study killed at any moment and called again ends as one that was never interrupted, bit for bit."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from kill_at import KILL_AT

from mlffm_segdiff.config.study import Study
from mlffm_segdiff.study.plan import StudyPlan, read_plan, write_plan
from mlffm_segdiff.study.progress import StudyProgress
from mlffm_segdiff.study.study_folder import StudyFolder

PlanHere = Callable[[Study, StudyFolder], StudyPlan]
RunHere = Callable[[StudyPlan, StudyFolder], tuple[dict[str, str], StudyProgress]]

SCRIPT = f"""{KILL_AT}
import sys
from pathlib import Path

import torch
from mlffm_segdiff.study.plan import read_plan
from mlffm_segdiff.study.run_cell import run_cell

study, moment = Path(sys.argv[1]), sys.argv[2:]
kill_at(*moment)
for cell in read_plan(study / "plan.json").cells:
    run_cell(study, cell.key)
"""
MOMENTS = {
    "in training": ("mlffm_segdiff.training.module", "SegmenterModule.on_validation_epoch_end", 2),
    "before weights are written": ("mlffm_segdiff.training.fit", "save_segmenter", 1),
    "before scores are written": ("mlffm_segdiff.study.run_cell", "write_report", 1),
    "before the next run is set up": (
        "mlffm_segdiff.training.run_folder",
        "RunFolder.write_config",
        2,
    ),
    "in the last cell's training": ("mlffm_segdiff.training.module", "SegmenterModule.training_step", 5),
}


def killed(folder: StudyFolder, moment: str) -> None:
    module, name, count = MOMENTS[moment]
    command = [sys.executable, "-c", SCRIPT, str(folder.path), module, name, str(count)]
    assert subprocess.run(command, check=False, stderr=subprocess.PIPE).returncode == -signal.SIGKILL, moment


def result(folder: StudyFolder) -> dict[str, bytes]:
    """Results that must not depend on interruptions: weights, curves, scores."""
    kinds = ("weights/model.safetensors", "logs/metrics.csv", "cases.csv", "summary.json")
    return {
        str(path.relative_to(folder.path)): path.read_bytes()
        for path in sorted((folder.path / "cells").rglob("*"))
        if str(path).endswith(kinds)
    }


def test_a_cell_killed_in_training_is_resumed(whole: StudyFolder, run_here: RunHere, tmp_path: Path) -> None:
    plan, folder = read_plan(whole.plan), StudyFolder(tmp_path / "killed")
    first = replace(plan, cells=plan.cells[:1])
    place = folder.cell(plan.cells[0].key)
    write_plan(first, folder.plan)
    killed(folder, "in training")
    assert place.run.last.is_file()
    assert place.running.is_file()
    assert not place.trained.exists()
    checkpoint = torch.load(place.run.last, weights_only=True)
    assert 0 < checkpoint["callbacks"]["Stopwatch"]["seconds"] < 600
    checkpoint["callbacks"]["Stopwatch"]["seconds"] = 1000.0
    torch.save(checkpoint, place.run.last)
    failures, _ = run_here(first, folder)
    assert failures == {}
    account = json.loads(place.finished.read_text())
    assert account["resumed"]
    assert 1000 < account["training_seconds"] < account["seconds"] < 2000
    found, expected = result(folder), result(whole)
    assert len(found) == 4
    assert {name: expected[name] for name in found} == found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_study_killed_again_and_again_gives_the_same_results(
    whole: StudyFolder,
    make_study: Callable[..., Study],
    plan_here: PlanHere,
    run_here: RunHere,
    tmp_path: Path,
) -> None:
    folder = StudyFolder(tmp_path / "killed")
    for moment in MOMENTS:
        plan_here(make_study(), folder)
        killed(folder, moment)
    plan = plan_here(make_study(), folder)
    assert StudyProgress(plan, folder).count("done") == 3
    failures, progress = run_here(plan, folder)
    assert (failures, progress.count("done")) == ({}, 4)
    assert folder.plan.read_bytes() == whole.plan.read_bytes()
    assert len(result(folder)) == 16
    assert result(folder) == result(whole)
