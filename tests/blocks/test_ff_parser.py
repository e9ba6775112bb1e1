import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mlffm_segdiff.blocks.ff_parser import FFParser, filtered, waves

sides = st.integers(1, 12)


@given(sides, sides)
def test_it_equals_numpys_transform(height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(13 * height + width)
    m = torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)
    real, imaginary = torch.randn(2, 3, height, width // 2 + 1, generator=generator, dtype=torch.float64)
    spectrum = np.fft.rfft2(m.numpy()) * (real.numpy() + 1j * imaginary.numpy())
    expected = np.fft.irfft2(spectrum, s=(height, width))
    np.testing.assert_allclose(filtered(m, real, imaginary).numpy(), expected, atol=2e-6)


def test_waves_by_hand() -> None:
    cosine, sine = waves(4, 3, torch.zeros(1))
    expected_cosine = [[1, 1, 1], [1, 0, -1], [1, -1, 1], [1, 0, -1]]
    expected_sine = [[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, -1, 0]]
    torch.testing.assert_close(cosine, torch.tensor(expected_cosine).float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(sine, torch.tensor(expected_sine).float(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 6), (5, 7), (3, 1)])
def test_a_new_parser_changes_nothing_at_any_size(height: int, width: int) -> None:
    m = torch.randn(2, 3, height, width)
    torch.testing.assert_close(FFParser(3, 8)(m), m, rtol=0, atol=1e-5)


def test_zero_but_for_the_constant_wave_leaves_the_mean() -> None:
    parser = FFParser(2, 6)
    with torch.no_grad():
        parser.attentive_map.zero_()
        parser.attentive_map[0, :, 0, 0] = 1
    m = torch.randn(1, 2, 6, 6)
    torch.testing.assert_close(parser(m), m.mean(dim=(2, 3), keepdim=True).expand_as(m))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (4, 12), (16, 6), (7, 5)])
def test_phases_that_grow_with_the_frequency_move_the_picture(height: int, width: int) -> None:
    """e^(-2 pi i (2 k_y / H + k_x / W)) is a shift by two rows and one column."""
    rows = torch.fft.fftfreq(height)[:, None]
    columns = torch.arange(width // 2 + 1) / width
    angle = -2 * math.pi * (2 * rows + columns)
    m = torch.randn(1, 1, height, width)
    moved = filtered(m, torch.cos(angle)[None], torch.sin(angle)[None])
    torch.testing.assert_close(moved, m.roll((2, 1), dims=(2, 3)), rtol=0, atol=1e-5)


def frequencies(height: int, width: int) -> Tensor:
    """Return |k_y| + 3 k_x in cycles a pixel (H W//2+1): straight but where k_y is 0 or turns around."""
    return torch.fft.fftfreq(height).abs()[:, None] + 3 * torch.arange(width // 2 + 1) / width


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 16), (24, 32), (4, 8), (32, 4)])
def test_at_another_size_a_frequency_keeps_its_weight(height: int, width: int) -> None:
    parser = FFParser(1, 8)
    with torch.no_grad():
        parser.attentive_map[0, 0] = frequencies(8, 8)
        parser.attentive_map[1, 0] = -frequencies(8, 8)
    real, imaginary = parser.map_for(height, width)[:, 0]
    torch.testing.assert_close(real, frequencies(height, width))
    torch.testing.assert_close(imaginary, -frequencies(height, width))


def test_the_map_learns_and_half_precision_works() -> None:
    parser = FFParser(2, 4)
    m = torch.randn(1, 2, 6, 6)
    parser(m).square().sum().backward()
    assert parser.attentive_map.grad is not None
    assert parser.attentive_map.grad[0].all()
    rounded = parser.bfloat16()(m.bfloat16())
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), m, rtol=0, atol=0.1)
