from collections.abc import Callable
from pathlib import Path

import pytest

from mlffm_segdiff.cli.app import run

TINY = (
    "model.size=tiny",
    "data.size=32",
    "data.workers=0",
    "train.images=32",
    "train.validate_every=16",
    "train.precision=float32",
)


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Overrides that make any recipe train for an instant."""
    return TINY


@pytest.fixture(scope="session")
def lesions(made_lesions: Callable[[int], Path]) -> Path:
    """Twenty synthetic pairs, as the data set `folder` has them."""
    return made_lesions(20)


@pytest.fixture(scope="session")
def trained(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, trained for an instant on `lesions`."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    source = ("--source", f"folder={lesions}")
    assert run(["train", "synthetic", *TINY, *source, "--run", str(folder), "--threads", "1"]) == 0
    return folder
