import torch
from torch import nn

from mlffm_segdiff.blocks.gated_injection import GatedInjection


def test_it_equals_the_unfactored_formula() -> None:
    inject = GatedInjection(5, 4).double()
    gate = nn.Conv2d(8, 4, 1).double()
    with torch.no_grad():
        gate.weight.copy_(torch.cat([inject.gate_mask.weight, inject.gate_key.weight], dim=1))
        gate.bias.copy_(inject.gate_mask.bias)  # type: ignore[arg-type, union-attr]
        h, image = torch.randn(2, 4, 6, 7).double(), torch.randn(2, 5, 6, 7).double()
        k, v = inject.key_value(image).split(4, dim=1)
        expected = h * torch.sigmoid(gate(torch.cat([h, k], dim=1))) + v
        found = inject(h, inject.project(image))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_image_reaches_both_gate_and_value() -> None:
    inject = GatedInjection(5, 4)
    image = torch.randn(1, 5, 3, 3)
    h = torch.randn(1, 4, 3, 3)
    inject(h, inject.project(image)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in inject.parameters())
