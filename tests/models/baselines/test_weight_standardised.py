import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from mlffm_segdiff.models.baselines.weight_standardised import WeightStandardisedConv2d
from mlffm_segdiff.segmenters.folding import fold_weight_standardisation

Array = NDArray[np.float64]
FLOAT32_EPS, OTHER_EPS = 1e-5, 1e-3


def standardised(weight: Array, eps: float) -> Array:
    centred = weight - weight.mean(axis=(1, 2, 3), keepdims=True)
    variance = (centred**2).sum(axis=(1, 2, 3), keepdims=True) / centred[0].size
    out: Array = centred / np.sqrt(variance + eps)
    return out


def convolved(h: Array, weight: Array, bias: Array) -> Array:
    padded = np.pad(h, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    out: Array = np.einsum("bihwkl,oikl->bohw", windows, weight) + bias[:, None, None]
    return out


def test_weight_standardised_convolution_equals_numpy() -> None:
    conv = WeightStandardisedConv2d(3, 5, 3)
    h = torch.randn(2, 3, 4, 6)
    weight, bias = (p.detach().double().numpy() for p in conv.parameters())
    expected = convolved(h.double().numpy(), standardised(weight, FLOAT32_EPS), bias)
    np.testing.assert_allclose(conv(h).detach().numpy(), expected, atol=1e-5)


def test_a_channel_by_hand() -> None:
    conv = WeightStandardisedConv2d(2, 1, 3)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([3.0, 7.0])[None, :, None, None].expand(1, 2, 3, 3))
    expected = torch.tensor([-1.0, 1.0])[None, :, None, None].expand(1, 2, 3, 3)  # mean 5, variance 4
    torch.testing.assert_close(conv.standardised_weight(), expected, rtol=0, atol=1e-5)


@given(st.floats(0.5, 50), st.floats(-2, 2))
def test_scale_and_offset_of_a_channel_do_not_matter(scale: float, offset: float) -> None:
    conv = WeightStandardisedConv2d(4, 3, 3)
    changed = copy.deepcopy(conv)
    with torch.no_grad():
        conv.weight.normal_()
        changed.weight.copy_(scale * conv.weight + offset)
        torch.testing.assert_close(
            changed.standardised_weight(), conv.standardised_weight(), rtol=0, atol=1e-4
        )


@pytest.mark.parametrize(
    ("dtype", "eps"),
    [(torch.float32, FLOAT32_EPS), (torch.bfloat16, OTHER_EPS), (torch.float64, OTHER_EPS)],
)
def test_eps_goes_by_the_type_of_the_weights(dtype: torch.dtype, eps: float) -> None:
    conv = WeightStandardisedConv2d(2, 3, 3).to(dtype)
    with torch.no_grad():
        conv.weight.mul_(0.1)  # a variance of the size of eps
    weight = conv.weight.detach().double().numpy()
    found = conv.standardised_weight().detach().double().numpy()
    np.testing.assert_allclose(found, standardised(weight, eps), rtol=1e-2, atol=1e-2)
    assert np.abs(standardised(weight, FLOAT32_EPS) - standardised(weight, OTHER_EPS)).max() > 0.1


def test_mixed_precision_standardises_as_float32_does() -> None:
    conv = WeightStandardisedConv2d(2, 3, 3)
    with torch.no_grad():
        conv.weight.mul_(0.1)
        h = torch.randn(1, 2, 8, 8)
        with torch.autocast("cpu", torch.bfloat16):
            found = conv(h.bfloat16())
        torch.testing.assert_close(found.float(), conv(h), rtol=0.02, atol=0.05)


def test_a_folded_network_is_plain_equal_and_its_own() -> None:
    network = nn.Sequential(WeightStandardisedConv2d(3, 4, 3), nn.GELU(), WeightStandardisedConv2d(4, 2, 3))
    before = copy.deepcopy(network.state_dict())
    h = torch.randn(2, 3, 8, 8)
    folded = fold_weight_standardisation(network.eval())
    assert [type(m) for m in folded] == [nn.Conv2d, nn.GELU, nn.Conv2d]
    assert folded.state_dict().keys() == before.keys()
    assert not any(m.training for m in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(h), network(h), rtol=0, atol=1e-5)
        for p in folded.parameters():
            p.zero_()
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())
    assert isinstance(network[0], WeightStandardisedConv2d)


def test_a_convolution_that_is_shared_or_the_whole_network_is_folded_too() -> None:
    conv = WeightStandardisedConv2d(3, 3, 3)
    single: nn.Module = fold_weight_standardisation(conv)
    shared = fold_weight_standardisation(nn.Sequential(conv, conv))
    h = torch.randn(1, 3, 4, 4)
    assert type(single) is nn.Conv2d
    assert shared[0] is shared[1]
    torch.testing.assert_close(shared(h), conv(conv(h)))


@pytest.mark.parametrize(
    ("kernel", "stride", "bias"), [(1, 1, False), (1, 2, True), (3, 2, False), (7, 2, False)]
)
def test_other_kernels_and_strides_are_standardised_and_folded_alike(
    kernel: int, stride: int, bias: bool
) -> None:
    conv = WeightStandardisedConv2d(4, 3, kernel, stride, bias)
    h = torch.randn(2, 4, 8, 9)
    weight = torch.from_numpy(standardised(conv.weight.detach().double().numpy(), FLOAT32_EPS)).float()
    plain = fold_weight_standardisation(conv)
    with torch.no_grad():
        expected = nn.functional.conv2d(h, weight, conv.bias, padding=kernel // 2)[..., ::stride, ::stride]
        torch.testing.assert_close(conv(h), expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(plain(h), expected, rtol=0, atol=1e-4)
    assert type(plain) is nn.Conv2d
    assert (plain.bias is not None) is bias
