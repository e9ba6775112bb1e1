"""The connection to a Ray cluster, for a study and for predictions."""

import logging
import os
import socket
import sys
from contextlib import AbstractContextManager, redirect_stdout
from typing import TextIO

import ray

from mlffm_segdiff.config.errors import UserError, one_line

FORWARDED = ("PYTHONPATH", "MLFFM_SEGDIFF_CACHE", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Environment variables that workers take from this process."""
CONNECT_SECONDS = 10


def connect(address: str, threads: float) -> None:
    """Connect this process to a Ray cluster, without usage statistics and without Ray's log.

    Args:
        address: "auto" for the cluster of this machine, HOST:PORT, or "local" for one that ends with this
            process.
        threads: Processor threads of a worker.

    Raises:
        UserError: There is no cluster, or this process is already connected to Ray.
    """
    if ray.is_initialized():
        raise UserError("this process is already connected to Ray; call ray.shutdown() first")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # a local cluster would send them otherwise
    environment = {name: os.environ[name] for name in FORWARDED if os.environ.get(name)}
    environment["OMP_NUM_THREADS"] = f"{threads:g}"
    environment["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "1"  # otherwise workers with 0 GPUs see all of them
    host, _, port = address.rpartition(":")
    try:
        if host:  # Ray would retry for minutes at an address without a cluster
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": environment},
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"no Ray cluster at {address!r} ({one_line(error)}); start one: ray start --head"
        ) from error


def messages_on_stderr() -> AbstractContextManager[TextIO]:
    """Return a context in which Ray's messages, such as that a machine was lost, go to standard error.

    Ray prints some on standard output even if its log is off, where they would mix with printed results.
    """
    return redirect_stdout(sys.stderr)
