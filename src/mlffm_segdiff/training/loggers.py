"""The logs of a run: Lightning's own loggers, by the names in ``train.logger``."""

import logging
import os
from collections.abc import Callable, Sequence
from importlib import import_module

from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import DISTRIBUTION, needs_extra
from mlffm_segdiff.config.schema import LoggerName, Recipe
from mlffm_segdiff.training.metrics_log import MetricsLog
from mlffm_segdiff.training.run_folder import RunFolder

SERVICES = ("wandb", "mlflow")
"""Loggers that need an extra of their own name, which brings a package of that name."""
TRACKING_URI = "MLFLOW_TRACKING_URI"
MLFLOW_FILE = "mlflow.db"


def require_loggers(names: Sequence[LoggerName]) -> None:
    """Raise UserError, with what to install, if the package of a logger is missing."""
    for name in SERVICES:
        if name in names:
            with needs_extra(name):
                import_module(name)


def make_loggers(recipe: Recipe, folder: RunFolder) -> list[Logger]:
    """Return the loggers of a run; metrics.csv is always one of them.

    Weights & Biases and MLflow get the recipe as parameters, and the names of recipe and run folder. Where
    they write is set by their own environment variables, such as WANDB_MODE and MLFLOW_TRACKING_URI; without,
    MLflow writes a SQLite file into the run folder.
    """
    makers: dict[LoggerName, Callable[[Recipe, RunFolder], Logger]] = {
        "tensorboard": _tensorboard,
        "wandb": _wandb,
        "mlflow": _mlflow,
    }
    loggers: list[Logger] = [MetricsLog(folder.metrics)]
    for name in recipe.train.logger:
        if name not in SERVICES:
            loggers += [makers[name](recipe, folder)] if name in makers else []
            continue
        try:
            logger = makers[name](recipe, folder)
            logger.log_hyperparams(recipe.model_dump(mode="json"))
        except Exception as error:  # each service has its own, for a missing server or login
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(
                f"the logger {name} cannot start ({reason}); set it up, or leave it out"
            ) from error
        loggers.append(logger)
    return loggers


def close_loggers(loggers: Sequence[Logger]) -> None:
    """End the run of Weights & Biases, which a next training in this process would continue otherwise."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def _tensorboard(recipe: Recipe, folder: RunFolder) -> Logger:
    del recipe
    return TensorBoardLogger(folder.path, name="", version=folder.tensorboard.name)


def _wandb(recipe: Recipe, folder: RunFolder) -> Logger:
    return WandbLogger(name=folder.path.name, project=DISTRIBUTION, group=recipe.name, save_dir=folder.path)


def _mlflow(recipe: Recipe, folder: RunFolder) -> Logger:
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it prints each step of making its database
    uri = os.environ.get(TRACKING_URI) or f"sqlite:///{folder.path.absolute() / MLFLOW_FILE}"
    return MLFlowLogger(recipe.name, run_name=folder.path.name, tracking_uri=uri)
