"""A second output channel of a denoiser for a learned variance."""

import torch
from torch import nn

from mlffm_segdiff.config.errors import UserError


def learn_variance(network: nn.Module, head: str | None, name: str) -> None:
    """Double the output channels of a denoiser's last convolution in place; new ones start at 0 (v = 1/2).

    Args:
        network: The denoiser.
        head: The name of the convolution within it; None if the network cannot be widened.
        name: The model's name, for errors.

    Raises:
        UserError: ``head`` is None.
    """
    if head is None:
        raise UserError(f"model {name} cannot learn a variance; take diffusion.learned_variance=false")
    last = network.get_submodule(head)
    assert isinstance(last, nn.Conv2d)
    channels = last.out_channels
    wide = nn.Conv2d(last.in_channels, 2 * channels, last.kernel_size, padding=last.padding)  # type: ignore[arg-type]
    with torch.no_grad():
        for p, former in zip(wide.parameters(), last.parameters(), strict=True):
            p.zero_()
            p[:channels] = former
    network.set_submodule(head, wide)
