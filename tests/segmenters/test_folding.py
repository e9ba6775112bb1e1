import copy

import pytest
import torch
from torch import Tensor, nn

from mlffm_segdiff.models.encoders import ConvNorm, EfficientNetLite
from mlffm_segdiff.segmenters.folding import fold_batch_norm, fold_padding


def with_statistics(network: nn.Module) -> nn.Module:
    """Evaluation mode, with batch norms far from the identity."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.weight, module.bias):
                if values is not None:
                    nn.init.normal_(values)
            if module.running_var is not None:
                nn.init.uniform_(module.running_var, 0.1, 2.0)
    return network.eval()


def layers(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


def folded(network: nn.Module) -> nn.Module:
    return fold_padding(fold_batch_norm(network))


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 8, 12, 12)


@pytest.mark.parametrize(
    "layer",
    [
        ConvNorm(8, 6, 1),
        ConvNorm(8, 8, 5, groups=8),
        ConvNorm(8, 6, 3, stride=2),
        ConvNorm(8, 8, 5, stride=2, groups=8, linear=True),
        nn.Sequential(nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6, affine=False), nn.SiLU()),
    ],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_computes_what_it_did_with_its_batch_norm_and_padding(
    layer: nn.Module, memory_format: torch.memory_format, image: Tensor
) -> None:
    layer = with_statistics(copy.deepcopy(layer)).to(memory_format=memory_format)
    found = folded(layer)
    assert layers(found, nn.BatchNorm2d) == layers(found, nn.ZeroPad2d) == 0
    assert all(p.is_contiguous(memory_format=memory_format) for p in found.parameters() if p.ndim == 4)
    for x in (image, image[..., :11, :9]):
        torch.testing.assert_close(found(x), layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sides", [(0, 1, 0, 1), (2, 0, 1, 3), (1, 1, 0, 0), (3, 1, 1, 1)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_padding_on_any_side(sides: tuple[int, int, int, int], stride: int, image: Tensor) -> None:
    layer = nn.Sequential(nn.ZeroPad2d(sides), nn.Conv2d(8, 4, (3, 5), stride))
    found = fold_padding(layer)
    assert layers(found, nn.ZeroPad2d) == 0
    torch.testing.assert_close(found(image), layer(image))


def test_the_pretrained_encoder_gives_the_same_features() -> None:
    encoder = EfficientNetLite("efficientnet_lite0").eval()
    found = folded(encoder)
    assert layers(found, nn.BatchNorm2d) == 0
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    for one, other in zip(found(image), encoder(image), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_network_itself_stays_as_it_is(image: Tensor) -> None:
    layer = with_statistics(ConvNorm(8, 6, 3, stride=2))
    before, answer = copy.deepcopy(layer.state_dict()), layer(image)
    found = folded(layer)
    for parameter in found.parameters():
        nn.init.zeros_(parameter)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    torch.testing.assert_close(layer(image), answer, rtol=0, atol=0)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(8, 6, 3), nn.GroupNorm(2, 6)),
        nn.Sequential(nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3)),
        nn.Sequential(nn.Conv2d(8, 6, 3), nn.BatchNorm2d(6, track_running_stats=False)),
        nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(8, 6, 3, padding=1)),
        nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(8, 6, 3, dilation=2)),
    ],
)
def test_what_cannot_be_folded_is_left(network: nn.Module) -> None:
    assert folded(network.eval()) is network
