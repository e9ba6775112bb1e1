import pytest
import torch

from mlffm_segdiff.models.unetpp import UNetPlusPlus


def test_about_as_many_parameters_as_the_paper_says() -> None:
    """Zhou et al. 2018, table 3: 9.04 M, of convolutions alone."""
    with torch.device("meta"):
        network = UNetPlusPlus((32, 64, 128, 256, 512))
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(9.04e6, rel=0.01)


def test_four_nested_decoders_are_trained_and_the_deepest_is_used() -> None:
    network = UNetPlusPlus((4, 4, 8, 8, 8))
    image = torch.randn(2, 3, 32, 48)
    weights, logits = zip(*network.supervise(image), strict=True)
    assert weights == (0.25,) * 4
    assert {logit.shape for logit in logits} == {(2, 1, 32, 48)}
    assert torch.equal(network(image), logits[0])
    depths = []
    for logit in logits:
        network.zero_grad()
        logit.sum().backward(retain_graph=True)
        encoder = (network.conv_1_0, network.conv_2_0, network.conv_3_0, network.conv_4_0)
        depths.append(sum(level.convs.conv_0.conv.weight.grad is not None for level in encoder))
    assert depths == [4, 3, 2, 1]
