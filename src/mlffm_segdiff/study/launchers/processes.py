"""Cells in processes of this machine, some at once."""

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.launchers.apart import begin_apart, died
from mlffm_segdiff.study.launchers.base import Outcome, Work
from mlffm_segdiff.study.launchers.child import Child
from mlffm_segdiff.study.launchers.parcel import Parcel, pack

POLL_SECONDS = 0.5
VISIBLE = "CUDA_VISIBLE_DEVICES"


class Processes:
    """Runs each cell in a fresh process, `workers` of them at once.

    threads: processor threads of a cell. gpus: GPUs of a cell, a share of one below 1; 0 shows it none, None
    all. Raises UserError where this machine has too few GPUs.
    """

    def __init__(self, workers: int, threads: int, gpus: float | None = None) -> None:
        self.workers = workers
        self.threads = threads
        self.visible = [{} if gpus is None else {VISIBLE: names} for names in gpu_shares(workers, gpus or 0)]

    def launch(
        self, work: Work, study: Path, keys: Sequence[str], started: Callable[[str], None]
    ) -> Generator[Outcome, None, None]:
        """Run the cells. One that is killed is an Outcome with an error. See `Launcher`."""
        waiting, free = deque(pack(work, study, key, self.threads) for key in keys), list(range(self.workers))
        running: dict[int, tuple[Parcel, Child[Outcome]]] = {}
        try:
            while waiting or running:
                while waiting and free:
                    parcel, place = waiting.popleft(), free.pop(0)
                    running[place] = parcel, self._begin(parcel, place)
                    started(parcel.key)
                wait([child.receiver for _, child in running.values()], POLL_SECONDS)
                for place, (parcel, child) in list(running.items()):
                    alive, outcome = child.is_alive(), child.take()
                    if outcome is None and alive:
                        continue
                    outcome = outcome or died(parcel, child)
                    child.join()
                    child.stop()
                    del running[place]
                    free.append(place)
                    yield outcome
        finally:
            for _, child in running.values():
                child.stop()

    def _begin(self, parcel: Parcel, place: int) -> Child[Outcome]:
        return begin_apart(replace(parcel, environment={**parcel.environment, **self.visible[place]}))


def gpu_shares(workers: int, gpus: float) -> list[str]:
    """Return the GPUs of each worker as CUDA_VISIBLE_DEVICES has them. gpus: GPUs of one, a share below 1.

    Raises UserError where this machine shows too few.
    """
    if gpus == 0:
        return [""] * workers
    each, sharing = max(round(gpus), 1), max(int(1 / gpus), 1)
    present = _present()
    needed = -(-workers // sharing) * each
    if needed > len(present):
        raise UserError(
            f"{workers} workers with {gpus:g} GPUs each need {needed}, here are {len(present)}; "
            "take fewer workers, or a smaller share of a GPU for each"
        )
    first = [worker // sharing * each for worker in range(workers)]
    return [",".join(present[begin : begin + each]) for begin in first]


def _present() -> list[str]:
    chosen = os.environ.get(VISIBLE)
    if chosen is None:
        import torch  # not above: a cell's process imports this module before it knows its threads

        return [str(number) for number in range(torch.cuda.device_count())]
    return [name for name in chosen.split(",") if name]
