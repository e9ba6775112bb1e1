import numpy as np
import torch
from numpy.typing import NDArray

from mlffm_segdiff.blocks.dynamic_condition import DynamicCondition

Array = NDArray[np.float64]


def normalised(m: Array, weight: Array, bias: Array) -> Array:
    """Normalise a case (C H W) over all its values, then scale and shift its channels."""
    out: Array = (m - m.mean()) / np.sqrt(m.var() + 1e-5)
    return out * weight[:, None, None] + bias[:, None, None]


def test_by_hand() -> None:
    """(1, 3) and (5, 1) become (-1, 1) and (1, -1); their product (-1, -1) times (1, 3) is (-1, -3)."""
    image, mask = torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[5.0, 1.0]]]])
    found = DynamicCondition(1, 2)(image, mask)
    torch.testing.assert_close(found, torch.tensor([[[[-1.0, -3.0]]]]), rtol=0, atol=1e-4)


def test_it_equals_numpy() -> None:
    condition = DynamicCondition(3, 6)
    for p in condition.parameters():
        p.data.add_(0.5 * torch.randn_like(p))
    image, mask = torch.randn(2, 2, 3, 6, 6)
    p = {name: value.detach().double().numpy() for name, value in condition.named_parameters()}
    real, imaginary = p["parser.attentive_map"]
    expected = []
    for i, m in zip(image.double().numpy(), mask.double().numpy(), strict=True):
        parsed = np.fft.irfft2(np.fft.rfft2(m) * (real + 1j * imaginary), s=(6, 6))
        normed_image = normalised(i, p["norm_image.weight"], p["norm_image.bias"])
        normed_mask = normalised(parsed, p["norm_mask.weight"], p["norm_mask.bias"])
        expected.append(normed_image * normed_mask * i)
    found = condition(image, mask).detach().numpy()
    np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=1e-4)


def test_a_mask_whose_frequencies_are_all_cut_steers_nothing() -> None:
    condition = DynamicCondition(2, 4)
    image, mask = torch.randn(2, 1, 2, 4, 4)
    with torch.no_grad():
        assert condition(image, mask).any()
        condition.parser.attentive_map.zero_()
        assert not condition(image, mask).any()
