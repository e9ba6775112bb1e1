import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mlffm_segdiff.segmenters import packing
from mlffm_segdiff.segmenters.packing import PackedConvolution, can_pack, pack_convolutions, packed_flops

pytestmark = pytest.mark.skipif(not can_pack(), reason="this torch has no oneDNN on x86")


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(8, 16, 1, bias=False),
        nn.Identity(),
        nn.ReLU6(),
        nn.Conv2d(16, 16, 5, 2, padding=2, groups=16),
        nn.ReLU6(inplace=True),
        nn.Conv2d(16, 4, 3, padding=1, dilation=1),
    ).eval()


@pytest.fixture
def image() -> Tensor:
    return 5 * torch.randn(1, 8, 12, 10)


def packed(network: nn.Module) -> int:
    return sum(isinstance(module, PackedConvolution) for module in network.modules())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_results_are_the_same_for_other_sizes_too(
    memory_format: torch.memory_format, network: nn.Module, image: Tensor
) -> None:
    network = network.to(memory_format=memory_format)
    with torch.inference_mode():
        found = pack_convolutions(network, lambda: network(image))
        assert packed(found) == 3
        assert not any(isinstance(module, nn.ReLU6) for module in found.modules())
        for x in (image, image.repeat(5, 1, 1, 1), image[..., :7, :9], image.contiguous()):
            torch.testing.assert_close(found(x), network(x), rtol=1e-5, atol=1e-5)


def test_the_network_itself_stays_as_it_is(network: nn.Module, image: Tensor) -> None:
    before = copy.deepcopy(network)
    with torch.inference_mode():
        pack_convolutions(network, lambda: network(image))
        assert packed(network) == 0
        assert torch.equal(network(image), before(image))
    assert not network[0]._forward_pre_hooks


class Own(nn.Conv2d):
    """A convolution with a forward of its own."""


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, padding="same"),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
        Own(8, 8, 3),
        nn.Conv2d(8, 8, 3, dtype=torch.float64),
        nn.GroupNorm(2, 8),
    ],
)
def test_what_cannot_be_packed_is_left(layer: nn.Module, image: Tensor) -> None:
    network = nn.Sequential(layer)
    x = image.double() if any(p.dtype == torch.float64 for p in layer.parameters()) else image
    assert pack_convolutions(network, lambda: network(x)) is network


def test_what_does_not_run_is_left(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pack_convolutions(network, lambda: None) is network
    monkeypatch.setattr(packing, "can_pack", lambda: False)
    assert pack_convolutions(network, lambda: network(torch.zeros(1, 8, 4, 4))) is network
    assert packed_flops() == {}


def test_arithmetic_is_counted_as_before(network: nn.Module, image: Tensor) -> None:
    with torch.inference_mode():
        found, counts = pack_convolutions(network, lambda: network(image)), []
        for one in (network, found):
            with FlopCounterMode(display=False, custom_mapping=packed_flops()) as counter:
                one(image)
            counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0
