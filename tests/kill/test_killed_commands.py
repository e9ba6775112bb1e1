"""Killed at any moment and repeated, each command ends as one that was never interrupted.

Run with ``pytest -m kill``; KILL_SEED draws other moments.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kill.killing import Killing, command

from mlffm_segdiff.data.cache import open_cache
from mlffm_segdiff.data.table import read_cases

pytestmark = [
    pytest.mark.kill,
    pytest.mark.timeout(7200),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

WRITTEN = ("overlay", "contours", "coco", "probability", "nnunet", "review")
RUN = ("**/weights/*", "**/logs/metrics.csv", "**/config.yaml", "**/curves.png", "**/overlays*")
TINY = (
    "model.size=tiny",
    "model.encoder_widths=[8,16]",
    "model.encoder_blocks=[1,1]",
    "model.mask_widths=[8,8]",
    "data.size=32",
    "data.workers=0",
    "data.synthetic_count=20",
    "train.images=16",
    "train.batch_size=4",
    "train.warmup=4",
    "train.validate_every=8",
    "train.ema_decay=0.9",
    "train.precision=float32",
)
SCORES = ("**/cases.csv", "**/summary.json")


@pytest.fixture(scope="module")
def lesions(made_lesions: Callable[[int], Path]) -> Path:
    """A folder of six synthetic pairs, in images/ and masks/."""
    return made_lesions(6)


@pytest.fixture(scope="module")
def weights(untrained: Callable[..., Path]) -> Path:
    """A folder of tiny untrained weights."""
    return untrained("synthetic", *TINY)


def test_predict(lesions: Path, weights: Path, tmp_path: Path, rows: list[str]) -> None:
    outputs = [text for name in WRITTEN for text in ("-w", name)]
    given = ["predict", "-i", lesions / "images", "--weights", weights, "--threads", "1", *outputs]
    Killing(tmp_path / "predict", lambda place: command(*given, "-o", place)).check(40, rows)


def test_train(lesions: Path, tmp_path: Path, rows: list[str]) -> None:
    """A run is resumed; one that was killed before it had a configuration is started again."""
    begun = ["train", "synthetic", *TINY, "--threads", "1", "--run"]
    resumed = ["train", "--resume", "--threads", "1", "--run"]
    Killing(
        tmp_path / "train",
        lambda place: command(*begun, place),
        lambda place: (command(*resumed, place), command(*begun, place)),
        RUN,
    ).check(20, rows)


def test_study(tmp_path: Path, rows: list[str]) -> None:
    study = {
        "name": "out",
        "variants": {
            "full": {"recipe": "synthetic"},
            "plain": {"recipe": "synthetic", "overrides": ["loss.weight=none"]},
        },
        "datasets": {"synthetic": {}},
        "seeds": [0],
        "overrides": list(TINY),
        "baseline": "full",
        "launcher": {"threads": 1},
    }
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(study))
    begin = lambda place: command("study", "run", file, "-o", place)  # noqa: E731
    Killing(tmp_path / "study", begin, patterns=(*RUN, *SCORES)).check(10, rows)


def test_export(weights: Path, tmp_path: Path, rows: list[str]) -> None:
    """A folder that is there is whole; a second export next to it finds no leftovers."""
    export = lambda place: command("export", weights, "--format", "onnx", "-o", place)  # noqa: E731
    again = lambda place: (export(place.with_name("again") if place.exists() else place),)  # noqa: E731
    Killing(tmp_path / "export", export, again).check(15, rows)


def test_cache(lesions: Path, tmp_path: Path, rows: list[str]) -> None:
    cases = read_cases("folder", lesions)
    begin = lambda place: lambda: open_cache(cases, 32, place)  # noqa: E731
    Killing(tmp_path / "cache", begin, patterns=("*/*.npy",)).check(15, rows)
