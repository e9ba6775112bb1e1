from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlffm_segdiff.config.study import Study, check_study
from mlffm_segdiff.study.folder import StudyFolder
from mlffm_segdiff.study.launchers.base import Outcome, Work, outcome_of
from mlffm_segdiff.study.lock import StudyLock
from mlffm_segdiff.study.study import open_tally, plan_study, run_study
from mlffm_segdiff.study.tally import Tally

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


class Here:
    """A launcher that runs the cells one by one in this process."""

    def launch(
        self, work: Work, study: Path, keys: Sequence[str], started: Callable[[str], None]
    ) -> Generator[Outcome, None, None]:
        for key in keys:
            started(key)
            yield outcome_of(work, study, key)


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
        }
        return check_study(values | given, "here")

    return make


@pytest.fixture(scope="session")
def run_here() -> Callable[..., tuple[dict[str, str], Tally]]:
    """Run what a plan lacks in this process: the failures by key, and the tally."""

    def run(lock: StudyLock, folder: StudyFolder) -> tuple[dict[str, str], Tally]:
        tally = open_tally(lock, folder)
        return run_study(lock, folder, Here(), tally, lambda cell, error: None), tally

    return run


@pytest.fixture(scope="session")
def whole(
    make_study: Callable[..., Study],
    run_here: Callable[..., tuple[dict[str, str], Tally]],
    tmp_path_factory: pytest.TempPathFactory,
) -> StudyFolder:
    """A study that ran to its end without interruption. Tests do not change it."""
    folder = StudyFolder(tmp_path_factory.mktemp("study") / "whole")
    failures, _ = run_here(plan_study(make_study(), "ablation", folder, {}, threads=1), folder)
    assert failures == {}
    return folder
