"""Stand-ins take the place of Weights & Biases and MLflow; the real ones are tested if they are installed."""

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from lightning.pytorch.loggers.logger import Logger

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe, TrainConfig
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.training import loggers
from mlffm_segdiff.training.fit import train
from mlffm_segdiff.training.metrics_log import read_rows
from mlffm_segdiff.training.run_folder import RunFolder

SHORT = {"images": 24, "batch_size": 4, "validate_every": 12, "warmup": 4}


class Log(Logger):
    """A logger that keeps what it gets."""

    made: list["Log"]

    def __init__(self, *names: object, **settings: object) -> None:
        super().__init__()
        self.settings = {**settings, "names": names}
        self.rows: list[tuple[int, set[str]]] = []
        self.recipe: dict[str, Any] = {}
        self.finished = 0
        type(self).made.append(self)

    name, version, experiment = "log", "", property(lambda self: self)

    def finish(self) -> None:
        self.finished += 1

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        self.recipe = params

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.rows.append((step, set(metrics)))


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Log]]:
    """Stand-ins of both packages and of Lightning's loggers for them."""
    kinds = {name: type(name, (Log,), {"made": []}) for name in ("WandbLogger", "MLFlowLogger")}
    for name, kind in kinds.items():
        monkeypatch.setattr(loggers, name, kind)
    for package in loggers.SERVICES:
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.delenv(loggers.TRACKING_URI, raising=False)
    return kinds


def test_one_or_several_are_chosen() -> None:
    assert TrainConfig().logger == ("csv", "tensorboard")
    assert TrainConfig(logger="MLflow").logger == ("mlflow",)
    assert load_recipe("synthetic", ["train.logger=[csv,wandb]"]).train.logger == ("csv", "wandb")
    with pytest.raises(UserError, match="'csv', 'tensorboard', 'wandb' or 'mlflow'"):
        load_recipe("synthetic", ["train.logger=tensorbord"])


def test_every_log_gets_the_metrics_and_services_the_recipe(
    make_recipe: Callable[..., Recipe], services: dict[str, type[Log]], tmp_path: Path
) -> None:
    recipe = make_recipe(train={**SHORT, "logger": ["wandb", "mlflow"]})
    folder = RunFolder(tmp_path / "run")
    train(recipe, folder.path)
    expected = [
        (int(row["step"]), sorted({name for name, value in row.items() if value} - {"step"}))
        for row in read_rows(folder.metrics)
    ]
    (wandb,), (mlflow,) = (kind.made for kind in services.values())
    assert len(expected) == 4
    for log in (wandb, mlflow):
        assert sorted((step, sorted(names)) for step, names in log.rows) == sorted(expected)
        assert log.recipe == recipe.model_dump(mode="json")
    assert (wandb.finished, mlflow.finished) == (1, 0)
    assert wandb.settings["name"] == mlflow.settings["run_name"] == "run"
    assert mlflow.settings["tracking_uri"] == f"sqlite:///{folder.path / 'mlflow.db'}"
    assert not folder.tensorboard.exists(), "it was not chosen"


def test_mlflow_writes_where_its_variable_says(
    make_recipe: Callable[..., Recipe],
    services: dict[str, type[Log]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(loggers.TRACKING_URI, "http://tracking:5000")
    loggers.make_loggers(make_recipe(train={"logger": "mlflow"}), RunFolder(tmp_path))
    (log,) = services["MLFlowLogger"].made
    assert log.settings["tracking_uri"] == "http://tracking:5000"


@pytest.mark.parametrize("name", loggers.SERVICES)
def test_a_missing_package_is_one_line_and_leaves_nothing(
    name: str, make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    recipe = make_recipe(train={"logger": name})
    with pytest.raises(UserError, match=rf"{name} is not installed; run: pip install \".*\[{name}\]\""):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_service_that_cannot_start_is_one_line(
    make_recipe: Callable[..., Recipe],
    services: dict[str, type[Log]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no server\nat this address")

    monkeypatch.setattr(loggers, "WandbLogger", fail)
    with pytest.raises(UserError, match=r"the logger wandb cannot start \(no server\); "):
        loggers.make_loggers(make_recipe(train={"logger": "wandb"}), RunFolder(tmp_path))


@pytest.mark.filterwarnings("ignore")
def test_mlflow_itself_keeps_metrics_and_recipe(
    make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(package, reason="the extra mlflow")
    monkeypatch.delenv(loggers.TRACKING_URI, raising=False)
    folder = RunFolder(tmp_path / "run")
    train(make_recipe(train={**SHORT, "logger": "mlflow"}), folder.path)
    with sqlite3.connect(folder.path / "mlflow.db") as database:
        found = database.execute("select key, step, value from metrics").fetchall()
        parameters = dict(database.execute("select key, value from params").fetchall())
        assert database.execute("select name, status from runs").fetchall() == [("run", "FINISHED")]
    rows = read_rows(folder.metrics)
    expected = {
        (key, int(row["step"]), float(value))
        for row in rows
        for key, value in row.items()
        if value and key != "step"
    }
    assert {(key, step) for key, step, _ in found} == {(key, step) for key, step, _ in expected}
    jaccards = sorted(value for key, _, value in found if key == "val_jaccard")
    assert jaccards == pytest.approx(sorted(value for key, _, value in expected if key == "val_jaccard"))
    assert parameters["train/batch_size"] == "4"


@pytest.mark.filterwarnings("ignore")
def test_wandb_itself_writes_a_run_of_its_own_for_each_training(
    make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="the extra wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("one", "two"):
        train(make_recipe(train={**SHORT, "logger": "wandb"}), tmp_path / name)
        (written,) = (tmp_path / name / "wandb").glob("offline-run-*/run-*.wandb")
        assert b"val_jaccard" in written.read_bytes()
