"""Passes of a network without gradients inside a training step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def without_gradients() -> Iterator[None]:
    """Compute without gradients, in a training step that then runs the network with them.

    Autocast keeps the weights that it has cast. Those that it cast here have no gradient, and torch 2.9 would
    use them again in the pass that needs one, so they are dropped.
    """
    with torch.no_grad():
        yield
    torch.clear_autocast_cache()
