"""The x_t of a training image: dual draws and recycling; single draws are in test_diffusion.py."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlffm_segdiff.data.batch import ONLY, Batch, Replica
from mlffm_segdiff.diffusion.process import MaskDiffusion, add_noise
from mlffm_segdiff.losses.boundary_weight import BandWeight
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.training_draws import Dual, Recycling, Single, TrainingDraws

Recorded = Callable[..., tuple[DiffusionSegmenter, Any]]
Around = Callable[..., DiffusionSegmenter]
Of = Callable[[nn.Module, TrainingDraws, float], DiffusionSegmenter]
SHARES = [(0.0, 0), (0.1, 1), (0.25, 1), (0.5, 2), (0.65, 3), (1.0, 4)]
"""Shares of a batch of four, and how many images they are."""


class Fixed(nn.Module):
    """A denoiser that answers with given maps, one for each row, and records its inputs."""

    total_stride = 1

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.answer = nn.Parameter(torch.randn(rows, 1, 32, 32, generator=torch.Generator().manual_seed(1)))
        self.encoded = 0
        self.asked: list[tuple[Tensor, Tensor, Tensor]] = []
        self.with_gradient: list[bool] = []

    def encode(self, image: Tensor) -> list[Tensor]:
        self.encoded += 1
        return [image]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        (image,) = features
        self.asked.append((noisy_mask, t, image))
        self.with_gradient.append(torch.is_grad_enabled())
        return self.answer


@pytest.fixture
def segmenter_of(around: Callable[..., DiffusionSegmenter]) -> Of:
    def make(network: nn.Module, draws: TrainingDraws, scale: float) -> DiffusionSegmenter:
        process = MaskDiffusion(mask_scale=scale)
        return around(network, process, weight=BandWeight(2, 3), draws=draws, noisy_bias=2.0)

    return make


def spread(alpha_bar: Tensor, scale: float) -> Tensor:
    """The standard deviation of x_t, by which the network's input is divided."""
    return (alpha_bar * scale**2 + 1 - alpha_bar).sqrt()


@pytest.mark.parametrize(("share", "noisy"), SHARES)
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_dual_draws_one_row_of_pure_noise_an_image_and_noises_the_masks_of_the_first(
    share: float, noisy: int, scale: float, segmenter_of: Of, batch: Batch
) -> None:
    """Random numbers are drawn again in the order times, pure noise, noise of the masks."""
    network = Fixed(4 + noisy)
    segmenter = segmenter_of(network, Dual(share), scale)
    torch.manual_seed(3)
    segmenter.loss(batch)
    torch.manual_seed(3)
    drawn = (torch.rand(noisy).sqrt() * 1000).long()
    pure, noise = torch.randn(4, 1, 32, 32), torch.randn(noisy, 1, 32, 32)
    ((x, t, image),) = network.asked
    assert network.encoded == 1
    assert t.tolist() == [999] * 4 + drawn.tolist()
    a = segmenter.process.alpha_bar[t].view(-1, 1, 1, 1)
    torch.testing.assert_close(x[:4], pure / spread(a[:4], scale))
    x_t = add_noise(scale * batch.mask[:noisy], noise, a[4:])
    torch.testing.assert_close(x[4:], x_t / spread(a[4:], scale))
    assert torch.equal(image, torch.cat([batch.image, batch.image[:noisy]]))


@pytest.mark.parametrize(("share", "noisy"), SHARES)
@pytest.mark.parametrize("noisy_weight", [1.0, 0.25])
def test_the_dual_loss_by_hand(
    share: float, noisy: int, noisy_weight: float, segmenter_of: Of, batch: Batch
) -> None:
    """Pure noise: cross-entropy weighted as for a clean mask, and soft Dice. Others: plain cross-entropy.

    With y = +-1, the cross-entropy of a logit z is log(1 + exp(-y z)).
    """
    network = Fixed(4 + noisy)
    segmenter = segmenter_of(network, Dual(share, noisy_weight), 0.1)
    loss = segmenter.loss(batch).item()
    z, y = network.answer.detach().double().numpy(), batch.mask.double().numpy()
    weight = 1 + 2 * np.exp(-(batch.distance.double().numpy() ** 2) / 18)
    direct = (weight * np.log1p(np.exp(-y * z[:4]))).mean()
    p, lesion = 1 / (1 + np.exp(-z[:4])), y > 0
    overlap, sizes = (p * lesion).sum((1, 2, 3)), (p + lesion).sum((1, 2, 3))
    direct += (1 - (2 * overlap + 1) / (sizes + 1)).mean()
    proper = np.log1p(np.exp(-y[:noisy] * z[4:])).mean() if noisy else 0.0
    assert loss == pytest.approx(direct + noisy_weight * proper, rel=1e-5)


def test_dual_without_noisy_masks_is_the_loss_of_a_direct_network(segmenter_of: Of, batch: Batch) -> None:
    network = Fixed(4)
    loss = segmenter_of(network, Dual(0), 0.1).loss(batch)
    weight = 1 + 2 * torch.exp(-batch.distance.square() / 18)
    expected = RegionLoss()(network.answer, batch.mask, batch.distance, weight)
    torch.testing.assert_close(loss, expected)


def test_a_boundary_weight_that_depends_on_time_gets_that_of_a_clean_mask(
    around: Around, batch: Batch
) -> None:
    asked = []

    def weight(distance: Tensor, alpha_bar: Tensor, time_share: Tensor) -> Tensor:
        asked.append((alpha_bar.tolist(), time_share.tolist()))
        return torch.ones_like(distance)

    around(Fixed(8), weight=weight, draws=Dual(1.0)).loss(batch)
    assert asked == [([1.0] * 4, [0.0] * 4)]


def test_dual_draws_learn_as_one_batch_what_they_learn_apart(segmenter_of: Of, batch: Batch) -> None:
    """Gradients of both terms reach the network, each with its factor."""
    network = Fixed(6)
    segmenter = segmenter_of(network, Dual(0.5, 3.0), 0.1)
    segmenter.loss(batch).backward()
    entropy = F.softplus(-batch.mask[:2] * network.answer[4:]).mean()
    (expected,) = torch.autograd.grad(3 * entropy, [network.answer])
    assert network.answer.grad is not None
    torch.testing.assert_close(network.answer.grad[4:], expected[4:])
    assert network.answer.grad[:4].any()


def test_dual_self_conditioning_reads_an_estimate_in_half_of_the_rows_of_each_draw(
    recorded: Recorded, batch: Batch
) -> None:
    """Rows 2 and 3 of pure noise, row 1 of the two noised masks."""
    segmenter, network = recorded(
        lambda x, t, image: x[:, :1] + 1, self_conditioning=True, draws=Dual(noisy_share=0.5)
    )
    segmenter.loss(batch)
    (first, t_first), (second, t_second) = network.asked
    assert (len(first), len(second)) == (3, 6)
    assert torch.equal(t_first, t_second[[2, 3, 5]])
    assert torch.equal(first[:, 0], second[[2, 3, 5], 0])
    assert not first[:, 1].any()
    assert not second[[0, 1, 4], 1].any()
    torch.testing.assert_close(second[[2, 3, 5], 1], torch.tanh((first[:, 0] + 1) / 2))


@pytest.mark.parametrize("draws", [Single(), Dual(noisy_share=0.5), Dual(noisy_share=1.0)])
def test_self_conditioning_is_the_same_work_for_each_of_several_devices(
    draws: TrainingDraws, recorded: Recorded, batch: Batch
) -> None:
    """Otherwise some devices would wait for the others at every step."""
    rows = [torch.cat([x, x]) for x in (batch.image, batch.mask, batch.distance)]

    def counts(replica: Replica) -> list[int]:
        segmenter, network = recorded(lambda x, t, image: x[:, :1] + 1, self_conditioning=True, draws=draws)
        segmenter.loss(Batch(*map(replica.of, rows), [""] * (8 // replica.world_size), replica=replica))
        return [len(x) for x, _ in network.asked]

    parts = [counts(Replica(number, 2)) for number in range(2)]
    assert parts[0] == parts[1]
    assert [2 * count for count in parts[0]] == counts(ONLY)


@pytest.mark.parametrize("scale", [1.0, 0.1])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_recycling_by_hand(scale: float, shift: float, segmenter_of: Of, batch: Batch) -> None:
    """x_t is made from the network's estimate at t = T, its logits shifted; the target is the true mask.

    Random numbers are drawn again in the order times, noise, noise at T, shift.
    """
    network = Fixed(4)
    segmenter = segmenter_of(network, Recycling(shift), scale)
    torch.manual_seed(3)
    loss = segmenter.loss(batch)
    torch.manual_seed(3)
    t = (torch.rand(4).sqrt() * 1000).long()
    noise, pure, drawn = torch.randn(4, 1, 32, 32), torch.randn(4, 1, 32, 32), torch.randn(4, 1, 1, 1)
    (x_last, t_last, image_last), (x, t_asked, image) = network.asked
    table = segmenter.process.alpha_bar
    assert network.encoded == 1
    assert network.with_gradient == [False, True]
    assert t_last.tolist() == [999] * 4
    torch.testing.assert_close(x_last, pure / spread(table[999], scale))
    own = scale * (2 * torch.sigmoid(network.answer.detach() + shift * drawn) - 1)
    a = table[t].view(-1, 1, 1, 1)
    assert torch.equal(t_asked, t)
    torch.testing.assert_close(x, add_noise(own, noise, a) / spread(a, scale))
    assert torch.equal(image_last, image)
    weight = 1 + 2 * a * torch.exp(-batch.distance.square() / 18)
    torch.testing.assert_close(loss, RegionLoss()(network.answer, batch.mask, batch.distance, weight))


def test_a_recycled_x_t_holds_nothing_of_the_true_mask(recorded: Recorded, batch: Batch) -> None:
    segmenter, network = recorded(lambda x, t, image: 0.3 * x, draws=Recycling(1.0))
    other = batch._replace(mask=-batch.mask)
    for one in (batch, other):
        torch.manual_seed(0)
        segmenter.loss(one)
    x, x_other = network.asked[1][0], network.asked[3][0]
    assert torch.equal(x, x_other)


@pytest.mark.parametrize("draws", [Single(), Dual(), Recycling(2.0)])
def test_what_the_network_reads_has_unit_variance_at_every_time(
    draws: TrainingDraws, recorded: Recorded, batch: Batch
) -> None:
    """A mask of +-1 times its scale has the variance scale^2, as does an estimate without doubt."""
    segmenter, network = recorded(
        lambda x, t, image: torch.full_like(x, 20.0), MaskDiffusion(mask_scale=0.1), draws=draws
    )
    for _ in range(40):
        segmenter.loss(batch)
    seen = torch.cat([x for x, _ in network.asked])
    assert float(seen.square().mean()) == pytest.approx(1, abs=0.02)


def test_the_loss_without_boundary_weight_is_unweighted(around: Around, batch: Batch) -> None:
    network = Fixed(4)
    segmenter = around(network, draws=Dual(0), mask_loss=RegionLoss(dice=0))
    expected = F.softplus(-batch.mask * network.answer).mean()
    torch.testing.assert_close(segmenter.loss(batch), expected)


@pytest.mark.parametrize(
    "diffusion", [{"self_conditioning": True}, {"training": "recycling"}], ids=["conditioning", "recycling"]
)
def test_a_pass_without_gradients_leaves_none_out_in_bf16(
    diffusion: dict[str, object], trained: Callable[..., DiffusionSegmenter], batch: Batch
) -> None:
    """Autocast of torch 2.9 keeps the weights that were cast in that pass, and they have no gradient."""
    segmenter = trained(diffusion=diffusion).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = segmenter.loss(batch)
    loss.backward()
    assert [name for name, value in segmenter.named_parameters() if value.grad is None] == []
