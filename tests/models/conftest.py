from collections.abc import Callable

import pytest
import torch
from torch import nn


@pytest.fixture
def fixed_weights() -> Callable[[nn.Module], None]:
    """Return a function that gives a network the same weights on every machine."""
    return fill_in


def fill_in(model: nn.Module) -> None:
    """Fill in numbers between -1 and 1 that look random, scaled by fan-in; gains are around 1."""
    with torch.no_grad():
        for number, (name, p) in enumerate(model.named_parameters()):
            waves = 43758.5453 * torch.sin(12.9898 * torch.arange(p.numel(), dtype=torch.float64) + number)
            spread = (2 * (waves - waves.floor()) - 1).reshape(p.shape)
            if p.ndim == 1:
                p.copy_(0.3 * spread + (1.0 if name.endswith("weight") else 0.0))
            else:
                p.copy_((6 / p[0].numel()) ** 0.5 * spread)
