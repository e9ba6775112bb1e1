from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.config.study import LauncherConfig, Study
from mlffm_segdiff.study import plan_time
from mlffm_segdiff.study.launchers import base
from mlffm_segdiff.study.plan_time import cells_at_once, estimate_cells, makespan
from mlffm_segdiff.study.runner import make_plan
from mlffm_segdiff.study.study_folder import StudyFolder
from mlffm_segdiff.training.time_estimate import TimeEstimate

MEASURED = TimeEstimate(20, 2.0, 0.5, 1.0, 10.0, 999, 0, 0)


@pytest.mark.parametrize(
    ("seconds", "workers", "end"),
    [([3, 2, 4, 1], 1, 10), ([3, 2, 4, 1], 2, 6), ([3, 2, 4, 1], 9, 4), ([5], 2, 5)],
)
def test_the_last_worker_ends_the_study(seconds: list[float], workers: int, end: float) -> None:
    """With two workers: 3 then 1; 2 then 4."""
    assert makespan(seconds, workers) == end


def test_launchers_run_one_or_several_cells_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "processors", lambda: 8)
    assert cells_at_once(LauncherConfig(), 2, 30) == 1
    assert cells_at_once(LauncherConfig(name="local"), 2, 30) == 4
    assert cells_at_once(LauncherConfig(name="local"), 2, 3) == 3
    assert cells_at_once(LauncherConfig(name="local", workers=2), 2, 30) == 2
    assert cells_at_once(LauncherConfig(name="slurm"), 2, 30) == 30
    assert cells_at_once(LauncherConfig(name="slurm"), 2, 300) == 256  # submitit's default
    assert cells_at_once(LauncherConfig(name="ray"), 2, 300) == 300


def test_each_network_and_size_is_measured_once(
    make_study: Callable[..., Study], tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seeds of: two variants with steps of the same cost, one larger batch, and one that cannot train."""
    variants = {
        "full": {"recipe": "synthetic"},
        "slow": {"recipe": "synthetic", "overrides": ["train.learning_rate=1e-4", "train.images=32"]},
        "batch": {"recipe": "synthetic", "overrides": ["train.batch_size=8"]},
        "broken": {"recipe": "synthetic", "overrides": ["model.attention=false"]},
    }
    plan = make_plan(make_study(variants=variants), StudyFolder(tmp_path / "out"), {}, "cpu")
    measured, labels = [], []

    def measure(recipe: Recipe, device: str) -> TimeEstimate:
        assert (device, torch.get_num_threads()) == ("cpu", plan.threads)
        measured.append(recipe)
        if not recipe.model.attention:
            raise UserError("too small")
        return MEASURED

    @contextmanager
    def show(label: str) -> Iterator[None]:
        labels.append(label)
        yield

    monkeypatch.setattr(plan_time, "estimate_time", measure)
    estimates, errors = estimate_cells(plan, plan.cells, show)
    assert labels == ["measuring full", "measuring batch", "measuring broken"]
    assert {plan.cell(key).variant for key in errors} == {"broken"}
    assert set(errors.values()) == {"too small"}
    seconds = {plan.cell(key).variant: one.seconds for key, one in estimates.items()}
    # 20 cases have 2 for validation: 2 s each time. 16 images are 4 steps of 4 with 2 validations, or 2 of 8
    assert seconds == {"full": 4 * 2 + 2 * 2 + 10, "slow": 8 * 2 + 4 * 2 + 10, "batch": 2 * 2 + 2 * 2 + 10}
    assert len(estimates) == 6
