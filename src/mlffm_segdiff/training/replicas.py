"""The processes of a training on several devices, which Lightning, torchrun or Slurm starts."""

import logging
import os
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import device as Device

from mlffm_segdiff.config.errors import StoppedError, UserError
from mlffm_segdiff.config.schema import TrainConfig
from mlffm_segdiff.data.batch import Replica


class LostProcessError(StoppedError):
    """Another process of the training ended."""


def hardware(settings: TrainConfig, device: Device) -> dict[str, Any]:
    """Return the arguments of Lightning's Trainer for the devices of a training.

    Raises:
        UserError: Several devices are to be used, but one is named.
    """
    if settings.processes == 1:
        return {"accelerator": device.type, "devices": 1 if device.index is None else [device.index]}
    if device.index is not None:
        raise UserError(
            f"--device {device} is one device, and train.devices={settings.devices}; use --device {device.type}"
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
        UserError: torchrun started another number of processes.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
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
    trainer = Trainer(**hardware(settings, device), logger=False, enable_checkpointing=False)
    return Replica(trainer.global_rank, trainer.world_size)


def is_first_process() -> bool:
    """Return whether this process is the one of a training that writes files and prints."""
    return rank_zero_only.rank == 0
