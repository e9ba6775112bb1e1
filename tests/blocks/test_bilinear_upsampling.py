import pytest
import torch
import torch.nn.functional as F

from mlffm_segdiff.blocks.bilinear_upsampling import LearnedUpsampling, bilinear_kernel


def test_the_weights_by_hand() -> None:
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    torch.testing.assert_close(bilinear_kernel(2), torch.outer(line, line))
    line = torch.tensor([1, 3, 5, 7, 7, 5, 3, 1]) / 8
    torch.testing.assert_close(bilinear_kernel(4), torch.outer(line, line))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_at_first_it_is_bilinear_but_for_the_rim(factor: int) -> None:
    scores = torch.randn(2, 1, 5, 6)
    with torch.no_grad():
        found = LearnedUpsampling(factor)(scores)
    assert found.shape == (2, 1, 5 * factor, 6 * factor)
    expected = F.interpolate(scores, scale_factor=float(factor), mode="bilinear", align_corners=False)
    rim = factor // 2
    inner = (..., slice(rim, -rim), slice(rim, -rim))
    torch.testing.assert_close(found[inner], expected[inner])


def test_it_sees_nothing_outside_and_learns() -> None:
    up = LearnedUpsampling(2)
    found = up(torch.ones(1, 1, 3, 3))
    assert found[0, 0, 0, 0].item() == 0.75**2
    assert found[0, 0, 0, 2].item() == 0.75
    assert found[0, 0, 2, 2].item() == 1
    found.sum().backward()
    assert up.weight.grad is not None
    assert up.weight.grad.all()
