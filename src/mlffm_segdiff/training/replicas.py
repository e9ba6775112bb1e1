"""The processes of a training on several devices, which Lightning, torchrun or Slurm starts."""

import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import device as Device
from torch import distributed

from mlffm_segdiff.config.errors import StoppedError, UserError, reason_of
from mlffm_segdiff.config.schema import TrainConfig
from mlffm_segdiff.data.batch import Replica

NO_FILE = ("", "-", "-c")
"""First argument of a program that was not read from a file."""


class LostProcessError(StoppedError):
    """Another process of the training ended, or cannot be reached."""


@contextmanager
def explained_errors(run: Path) -> Iterator[None]:
    """Explain the errors that torch raises only in trainings on several devices.

    Raises:
        LostProcessError: Another process ended; names how to resume the run.
        UserError: The network has parameters that the loss does not use.
    """
    try:
        yield
    except RuntimeError as error:
        if "finished reduction in the prior iteration" in str(error):
            raise UserError(
                "the network has parameters that its loss does not use, which several devices do not allow; "
                "remove them, or train on one device"
            ) from error
        if not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise
        raise LostProcessError(
            "another process of the training ended, perhaps with an error of its own, or cannot be reached; "
            f"resume with: mlffm-segdiff train --resume --run {run}"
        ) from error


class KeepSigterm(Callback):
    """Keeps the handler of SIGTERM; Lightning's waits for the other processes, perhaps forever."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace Lightning's handler."""
        del trainer, pl_module
        if self.handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


def hardware(settings: TrainConfig, device: Device) -> dict[str, Any]:
    """Return the arguments of Lightning's Trainer for the devices of a training.

    Raises:
        UserError: Several devices are to be used, but one is named.
    """
    if settings.processes == 1:
        return {"accelerator": device.type, "devices": 1 if device.index is None else [device.index]}
    if device.index is not None:
        raise UserError(
            f"--device {device} is one device, not train.devices={settings.devices}; "
            f"use --device {device.type}"
        )
    return {
        "accelerator": device.type,
        "devices": settings.devices,
        "num_nodes": settings.nodes,
        "strategy": DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True),
        "use_distributed_sampler": False,
    }


def this_replica(settings: TrainConfig, device: Device) -> Replica:
    """Return which of the processes of a training this one is, as Lightning finds out; silence its messages.

    Raises:
        UserError: The machine has fewer devices, torchrun or Slurm started another number of processes, or
            Lightning cannot start them.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric.strategies.launchers").setLevel(logging.INFO)  # of killed processes
    started = TorchElasticEnvironment().world_size() if TorchElasticEnvironment.detect() else None
    if started not in (None, settings.processes):
        raise UserError(
            f"torchrun started {started} processes, but train.devices * train.nodes is {settings.processes}; "
            "make them equal"
        )
    if settings.processes == 1:
        return Replica()
    own_threads = str(max(torch.get_num_threads() // settings.devices, 1))
    torch.set_num_threads(int(os.environ.setdefault("OMP_NUM_THREADS", own_threads)))  # which Lightning keeps
    arguments = hardware(settings, device)
    try:
        trainer = Trainer(**arguments, logger=False, enable_checkpointing=False)
        cluster = trainer.strategy.cluster_environment
        cluster.validate_settings(settings.devices, settings.nodes)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise UserError(
            f"no training on train.devices={settings.devices} and train.nodes={settings.nodes} "
            f"({reason_of(error)}); correct these"
        ) from error
    if not cluster.creates_processes_externally and sys.argv[0] in NO_FILE:
        raise UserError(
            "training on several devices runs the calling program once per device; run it from a file, not "
            "interactively, or use mlffm-segdiff train"
        )
    if not cluster.creates_processes_externally and settings.nodes > 1:
        raise UserError(
            f"train.nodes={settings.nodes} needs srun or torchrun to start the processes of all machines, "
            "see docs/TRAINING.md; to train on this machine, leave it out"
        )
    atexit.register(_leave)
    return Replica(trainer.global_rank, trainer.world_size)


def _leave() -> None:
    """End Gloo's threads, as Lightning does for NCCL only; one that outlives Python aborts the process."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def is_first_process() -> bool:
    """Return whether this process is the one of a training that writes files and prints."""
    return bool(rank_zero_only.rank == 0)
