"""Measures the time of a training over its attempts."""

import time
from typing import Any

from lightning.pytorch import Callback


class Stopwatch(Callback):
    """Counts the seconds of a training from its construction on; checkpoints keep them.

    A resumed training adds the seconds at the checkpoint that it resumes from, so work that was lost since
    then is not counted.
    """

    def __init__(self) -> None:
        self._before = 0.0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """The seconds so far."""
        return self._before + time.monotonic() - self._started

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds so far, for a checkpoint."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Add the seconds of earlier attempts."""
        self._before = state_dict["seconds"]
