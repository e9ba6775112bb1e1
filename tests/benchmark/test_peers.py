import pytest
import torch
from torch import nn

from mlffm_segdiff.benchmark import peers
from mlffm_segdiff.benchmark.peers import (
    DERMOSEGDIFF,
    published_dermosegdiff,
    settle_format,
    swin_unetr_24,
)
from mlffm_segdiff.models.baselines.dermosegdiff import DermoSegDiff
from mlffm_segdiff.models.baselines.weight_standardised import WeightStandardisedConv2d

CPU = torch.device("cpu")


def test_dermosegdiff_is_the_published_one() -> None:
    with torch.device("meta"):
        network = DermoSegDiff(*DERMOSEGDIFF)
    assert sum(p.numel() for p in network.parameters()) == 321_181_377


@pytest.mark.usefixtures("small_peer")
def test_dermosegdiff_is_folded_and_computes_the_same() -> None:
    folded = published_dermosegdiff(torch.float32, CPU)
    torch.manual_seed(1)
    image, mask, t = torch.randn(2, 3, 16, 16), torch.randn(2, 1, 16, 16), torch.tensor([3, 90])
    assert not any(isinstance(module, WeightStandardisedConv2d) for module in folded.modules())
    assert not folded.training
    torch.manual_seed(0)
    standardised = published_again()
    torch.testing.assert_close(folded(image, mask, t), standardised(image, mask, t))


def published_again() -> DermoSegDiff:
    """The same with the standardisation in it; the fixture of all tests has set the seed to 0 before."""
    return DermoSegDiff(*peers.DERMOSEGDIFF).eval()


def test_swin_unetr_has_the_feature_size_that_is_compared_with() -> None:
    network = swin_unetr_24(torch.float32, CPU)
    assert sum(p.numel() for p in network.parameters()) == 6_302_875
    assert not network.training
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)


@pytest.mark.parametrize("faster", [torch.contiguous_format, torch.channels_last])
def test_a_peer_runs_in_its_faster_format(faster: torch.memory_format) -> None:
    network, now = nn.Conv2d(4, 4, 3), 0.0

    def work() -> None:
        nonlocal now
        now += 1.0 if network.weight.is_contiguous(memory_format=faster) else 2.0

    settle_format(network, work, lambda: now)
    assert network.weight.is_contiguous(memory_format=faster)
    others = {torch.contiguous_format, torch.channels_last} - {faster}
    assert not network.weight.is_contiguous(memory_format=others.pop())
