import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlffm_segdiff.blocks.decoder import ConcatBlock, decode_skips, double


class Halve(nn.Module):
    """A block that needs the time, to be told from one that does not get it."""

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        return h * time


def test_three_constant_skips_by_hand() -> None:
    """((4 doubled + 2) * 0.5 doubled + 1) * 0.5, where doubling a constant keeps it."""
    skips = [torch.full((1, 1, 8 >> n, 12 >> n), value) for n, value in enumerate((1.0, 2.0, 4.0))]
    same, halves = nn.ModuleList([nn.Identity()] * 2), nn.ModuleList([Halve()] * 2)
    found = decode_skips(skips, same, halves, torch.tensor(0.5))
    assert torch.equal(found, torch.full((1, 1, 8, 12), ((4 + 2) * 0.5 + 1) * 0.5))


def test_concatenated_skips_by_hand() -> None:
    """Twice: convolve, normalise by the batch's mean and variance, and keep what is positive."""
    block = ConcatBlock(3, 2 + 4, 5)
    coarse, skips = torch.randn(2, 3, 4, 6), [torch.randn(2, width, 8, 12) for width in (2, 4)]
    h = torch.cat([double(coarse), *skips], dim=1)
    for kernel in (p for p in block.parameters() if p.ndim == 4):
        h = F.conv2d(h, kernel, padding=1)
        variance, mean = torch.var_mean(h, dim=(0, 2, 3), correction=0, keepdim=True)
        h = ((h - mean) / (variance + 1e-5).sqrt()).clamp(min=0)
    torch.testing.assert_close(block(coarse, skips), h, rtol=0, atol=1e-5)


def test_the_projection_is_that_of_its_level() -> None:
    skips = [torch.zeros(1, 2, 8, 8), torch.zeros(1, 3, 4, 4), torch.ones(1, 5, 2, 2)]
    projections = nn.ModuleList([nn.Conv2d(3, 2, 1), nn.Conv2d(5, 3, 1)])
    found = decode_skips(skips, projections, nn.ModuleList([Halve()] * 2), torch.tensor(1.0))
    vector = projections[0](projections[1](skips[2]))[0, :, 0, 0]
    torch.testing.assert_close(found, vector.view(1, 2, 1, 1).expand(1, 2, 8, 8))
