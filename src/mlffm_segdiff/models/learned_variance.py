"""A second output for a denoiser: what a learned variance is made of."""

import torch
from torch import nn

from mlffm_segdiff.config.errors import UserError


def learn_variance(network: nn.Module, head: str | None, name: str) -> None:
    """Double the channels of a denoiser's last convolution; the new ones give 0, so v = 1/2.

    head: its name in the network, None if the network cannot be so widened; name: the model's. Raises
    UserError then.
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
