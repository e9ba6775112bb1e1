import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mlffm_segdiff.blocks.semantic_head import SemanticHead


def pyramid(height: int, width: int, channels: int) -> list[Tensor]:
    return [torch.randn(2, channels, height >> level, width >> level) for level in range(4)]


def brought_up(head: SemanticHead, level: int, p: Tensor) -> Tensor:
    """Return a level at the finest one's size, by functions on the head's weights."""
    stages = head.branches[level]
    assert len(stages) == max(level, 1)  # type: ignore[arg-type]
    for conv, norm, *_ in stages:  # type: ignore[union-attr]
        p = F.conv2d(p, conv.weight, padding=1)
        p = F.relu(F.group_norm(p, 2, norm.weight, norm.bias))
        if level:
            p = F.interpolate(p, scale_factor=2.0, mode="bilinear", align_corners=False)
    return p


@pytest.mark.parametrize(("height", "width"), [(16, 24), (24, 8)])
def test_it_scores_the_sum_of_all_levels_at_the_finest_size(height: int, width: int) -> None:
    head = SemanticHead(4, channels=5, width=6, groups=2)
    levels = pyramid(height, width, 5)
    with torch.no_grad():
        logit = head(levels)
        total = torch.stack([brought_up(head, level, p) for level, p in enumerate(levels)]).sum(dim=0)
        expected = F.conv2d(total, head.score.weight, head.score.bias)
    assert logit.shape == (2, 1, height, width)
    torch.testing.assert_close(logit, expected, rtol=1e-4, atol=1e-5)


def test_as_many_stages_as_halvings_and_one_for_the_finest() -> None:
    head = SemanticHead(4, channels=256, width=128, groups=32)
    stages = 4 * (9 * 256 * 128) + 3 * (9 * 128 * 128) + 7 * 2 * 128
    assert sum(p.numel() for p in head.parameters()) == stages + 128 + 1
