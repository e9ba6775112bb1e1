import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlffm_segdiff.config.study import Study, check_study
from mlffm_segdiff.study.launchers import InProcess
from mlffm_segdiff.study.plan import StudyPlan
from mlffm_segdiff.study.progress import StudyProgress
from mlffm_segdiff.study.runner import make_plan, run_cells, save_plan
from mlffm_segdiff.study.study_folder import StudyFolder

TINY = (
    "data.size=32",
    "data.workers=0",
    "data.synthetic_count=20",
    "sampling.steps=2",
    "sampling.samples=1",
    "train.images=16",
    "train.batch_size=4",
    "train.warmup=4",
    "train.validate_every=8",
    "train.ema_decay=0.9",
    "train.precision=float32",
)
SMALLEST = (
    "model.size=tiny",
    "model.encoder_widths=[8,16]",
    "model.encoder_blocks=[1,1]",
    "model.mask_widths=[8,8]",
)


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Study]:
    """Two variants with two seeds on 20 synthetic cases (14, 2, 4) at 32 x 32, four steps of training each.

    Arguments are keys of the study, in place of these.
    """

    def make(**given: Any) -> Study:
        values: dict[str, Any] = {
            "name": "small",
            "variants": {
                "full": {"recipe": "synthetic"},
                "plain loss": {"recipe": "synthetic", "overrides": ["loss.weight=none"]},
            },
            "datasets": {"synthetic": {}},
            "seeds": [0, 1],
            "overrides": [*TINY, *SMALLEST],
            "baseline": "full",
            "launcher": {"threads": 1},
        }
        return check_study(values | given, "here")

    return make


RunHere = Callable[[StudyPlan, StudyFolder], tuple[dict[str, str], StudyProgress]]


@pytest.fixture(scope="session")
def plan_here() -> Callable[[Study, StudyFolder], StudyPlan]:
    """Plan a study without sources and save the plan."""

    def plan(study: Study, folder: StudyFolder) -> StudyPlan:
        found = make_plan(study, folder, {})
        save_plan(found, study, folder)
        return found

    return plan


@pytest.fixture(scope="session")
def run_here() -> RunHere:
    """Run what a plan lacks in this process: the failures by key, and the progress."""

    def run(plan: StudyPlan, folder: StudyFolder) -> tuple[dict[str, str], StudyProgress]:
        return run_cells(plan, folder, InProcess(plan.threads)), StudyProgress(plan, folder)

    return run


@pytest.fixture(scope="session")
def whole(
    make_study: Callable[..., Study],
    plan_here: Callable[[Study, StudyFolder], StudyPlan],
    run_here: RunHere,
    tmp_path_factory: pytest.TempPathFactory,
) -> StudyFolder:
    """A study that ran to its end without interruption. Tests do not change it."""
    folder = StudyFolder(tmp_path_factory.mktemp("study") / "whole")
    failures, _ = run_here(plan_here(make_study(), folder), folder)
    assert failures == {}
    return folder


@pytest.fixture
def copied(whole: StudyFolder, tmp_path: Path) -> StudyFolder:
    """A copy of `whole` that a test may change."""
    return StudyFolder(Path(shutil.copytree(whole.path, tmp_path / "copied")))
