import pytest
import torch

from mlffm_segdiff.models.baselines.unetpp import EncoderUNetPlusPlus, UNetPlusPlus
from mlffm_segdiff.models.encoders import EfficientNetLite


def test_about_as_many_parameters_as_in_the_paper() -> None:
    """Zhou et al. 2018, table 3: 9.04 M, counting only convolutions."""
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


def test_on_an_encoder_nodes_read_their_level_and_the_coarser_one() -> None:
    """The five levels' widths are 16, 24, 40, 112 and 320; nodes have 4, 5, 6 and 7, finest first."""
    network = EncoderUNetPlusPlus(EfficientNetLite("efficientnet_lite0"), (7, 6, 5, 4))
    inputs = [[node.layers[0].in_channels for node in column] for column in network.nodes]
    assert inputs == [
        [16 + 24, 24 + 40, 40 + 112, 112 + 320],
        [16 + 4 + 5, 24 + 5 + 6, 40 + 6 + 7],
        [16 + 2 * 4 + 5, 24 + 2 * 5 + 6],
        [16 + 3 * 4 + 5],
    ]


def test_on_an_encoder_four_nested_decoders_are_trained_and_the_deepest_is_used() -> None:
    encoder = EfficientNetLite("efficientnet_lite0")
    network = EncoderUNetPlusPlus(encoder, (8, 8, 8, 8)).eval()
    assert network.total_stride == 32
    image = torch.randn(2, 3, 64, 96)
    weights, logits = zip(*network.supervise(image), strict=True)
    assert weights == (0.25,) * 4
    assert {logit.shape for logit in logits} == {(2, 1, 64, 96)}
    assert torch.equal(network(image), logits[0])
    reached = []
    for logit in logits:
        network.zero_grad()
        logit.sum().backward(retain_graph=True)
        stages = [encoder.stages[number] for number in encoder.levels[1:]]
        reached.append(sum(next(stage.parameters()).grad is not None for stage in stages))
    assert reached == [4, 3, 2, 1]
