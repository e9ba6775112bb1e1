import torch

from mlffm_segdiff.blocks.late_addition import LateAddition


def test_it_adds_a_matrix_of_the_image_to_each_pixel() -> None:
    torch.manual_seed(0)
    block = LateAddition(3, 2)
    h, features = torch.randn(1, 2, 4, 5), torch.randn(1, 3, 4, 5)
    value = torch.einsum("dc,bchw->bdhw", block.value.weight[:, :, 0, 0], features)
    expected = h + value + block.value.bias.view(-1, 1, 1)
    torch.testing.assert_close(block(h, block.project(features)), expected)
