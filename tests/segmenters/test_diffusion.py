import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.diffusion.fusion import FusionName, staple_probability
from mlffm_segdiff.diffusion.noise import case_generators, starting_noise
from mlffm_segdiff.diffusion.process import MaskDiffusion, Objective, add_noise, velocity
from mlffm_segdiff.diffusion.times import PowerLawTimes
from mlffm_segdiff.losses.boundary_weight import BandWeight
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.segmenters.base import Sampling, Segmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter

Make = Callable[..., Segmenter]
Recorded = Callable[..., tuple[DiffusionSegmenter, Any]]
IDS = list("abcd")
NOISE: dict[str, object] = {"objective": "epsilon", "own_samples": 0}
OBJECTIVES: tuple[Objective, ...] = ("x0", "epsilon", "v")
FUSIONS: tuple[FusionName, ...] = ("mean", "staple")


def probability(segmenter: Segmenter, image: Tensor, ids: list[str], sampling: Sampling) -> Tensor:
    return segmenter.segment(image, ids, sampling).probability


# A batch of another size rounds otherwise, by about 1e-7; an epsilon network's estimate of the mask divides
# that by sqrt(abar_T) = 0.006.
@pytest.mark.parametrize(
    ("objective", "schedule", "tolerance"),
    [("x0", "cosine", 1e-5), ("x0", "linear", 1e-5), ("v", "cosine", 1e-5), ("epsilon", "linear", 1e-4)],
)
@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm"])
@pytest.mark.parametrize("self_conditioning", [True, False])
def test_a_case_does_not_depend_on_batch_order_or_neighbours(
    objective: str,
    schedule: str,
    tolerance: float,
    sampler: str,
    self_conditioning: bool,
    trained: Make,
    batch: Batch,
) -> None:
    segmenter = trained(
        diffusion={
            "objective": objective,
            "schedule": schedule,
            "mask_scale": 1.0,
            "self_conditioning": self_conditioning,
            "own_samples": 0,
        }
    )
    sampling = Sampling(4, 2, 0, sampler)  # type: ignore[arg-type]
    together = probability(segmenter, batch.image, IDS, sampling)
    assert float(together.std()) > 0.01
    order = [2, 0, 3, 1]
    shuffled = probability(segmenter, batch.image[order], [IDS[n] for n in order], sampling)
    torch.testing.assert_close(shuffled, together[order], rtol=0, atol=tolerance)
    for rows in ([0], [3, 1]):
        few = probability(segmenter, batch.image[rows], [IDS[n] for n in rows], sampling)
        torch.testing.assert_close(few, together[rows], rtol=0, atol=tolerance)


def test_a_case_depends_on_its_id_and_the_seed(trained: Make, batch: Batch) -> None:
    segmenter = trained()
    first = probability(segmenter, batch.image, IDS, Sampling(2))
    assert torch.equal(first, probability(segmenter, batch.image, IDS, Sampling(2)))
    assert not torch.equal(first, probability(segmenter, batch.image, IDS, Sampling(2, seed=1)))
    renamed = probability(segmenter, batch.image, ["a", "other", "c", "d"], Sampling(2))
    assert [torch.equal(one, other) for one, other in zip(first, renamed, strict=True)] == [
        True,
        False,
        True,
        True,
    ]


def test_torchs_own_generator_plays_no_part_in_segmenting(trained: Make, batch: Batch) -> None:
    segmenter = trained()
    state = torch.get_rng_state()
    first = probability(segmenter, batch.image, IDS, Sampling(3, sampler="ddpm"))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(first, probability(segmenter, batch.image, IDS, Sampling(3, sampler="ddpm")))


@pytest.mark.parametrize(("steps", "samples"), [(1, 1), (4, 1), (3, 5)])
def test_the_image_is_encoded_once_whatever_the_steps_and_samples(
    steps: int, samples: int, recorded: Recorded, batch: Batch
) -> None:
    segmenter, network = recorded(lambda x, t, image: x)
    segmenter.segment(batch.image, IDS, Sampling(steps, samples))
    assert len(network.encoded) == 1
    assert [len(x) for x, _ in network.asked] == [4 * samples] * steps
    segmenter.loss(batch)
    assert len(network.encoded) == 2


def test_probability_is_the_mean_and_spread_the_sd_of_the_samples(recorded: Recorded, batch: Batch) -> None:
    """With one step and a network that answers with its input, a sample is sigmoid(noise)."""
    segmenter, _ = recorded(lambda x, t, image: 3 * x)
    found = segmenter.segment(batch.image, IDS, Sampling(1, samples=4, seed=7))
    noise = np.stack([starting_noise(case_generators(IDS, 7, n), 32, 32).double() for n in range(4)])
    samples = 1 / (1 + np.exp(-3 * noise))
    np.testing.assert_allclose(found.probability, samples.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.spread, samples.std(axis=0), atol=1e-5)


def test_samples_are_fused_as_asked_and_their_spread_is_the_same(recorded: Recorded, batch: Batch) -> None:
    segmenter, _ = recorded(lambda x, t, image: 3 * x)
    mean, staple = (segmenter.segment(batch.image, IDS, Sampling(1, 4, 7, fusion=f)) for f in FUSIONS)
    noise = np.stack([starting_noise(case_generators(IDS, 7, n), 32, 32).numpy() for n in range(4)])
    for image in range(len(IDS)):
        expected = staple_probability(noise[:, image, 0] >= 0)
        np.testing.assert_allclose(staple.probability[image, 0], expected, rtol=0, atol=1e-6)
    assert torch.equal(staple.spread, mean.spread)


def test_one_sample_has_no_spread(trained: Make, batch: Batch) -> None:
    found = trained().segment(batch.image, IDS, Sampling(2))
    assert found.probability.shape == found.spread.shape == (4, 1, 32, 32)
    assert not found.spread.any()
    assert 0 <= float(found.probability.min()) < float(found.probability.max()) <= 1


def knowing(process: MaskDiffusion, mask: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A network that knows each sample's mask: its input has unit variance, so x_t is it times its SD."""
    table = process.alphas_cumprod()

    def output(scaled: Tensor, t: Tensor, _image: Tensor) -> Tensor:
        a, masks = table[t].view(-1, 1, 1, 1).double(), mask.repeat(len(t) // len(mask), 1, 1, 1)
        x0 = process.mask_scale * masks
        noise = (scaled * (a * process.mask_scale**2 + 1 - a).sqrt() - a.sqrt() * x0) / (1 - a).sqrt()
        return {"x0": 40 * masks, "epsilon": noise, "v": velocity(x0, noise, a)}[process.objective].float()

    return output


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_a_perfect_network_has_no_loss_and_draws_the_mask(
    objective: Objective, scale: float, recorded: Recorded, batch: Batch
) -> None:
    process = MaskDiffusion(objective, mask_scale=scale)
    segmenter, _ = recorded(knowing(process, batch.mask), process)
    assert float(segmenter.loss(batch)) < 1e-5
    for sampler in ("ddim", "ddpm", "dpm"):
        found = probability(segmenter, batch.image, batch.ids, Sampling(4, 2, 0, sampler))  # type: ignore[arg-type]
        torch.testing.assert_close(found, (batch.mask + 1) / 2, rtol=0, atol=0.05)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_the_loss_by_hand(objective: Objective, scale: float, batch: Batch) -> None:
    """Random numbers are drawn again in the order times, noise; the network answers with a fixed map."""
    answer = torch.randn(4, 1, 32, 32)

    class Fixed(torch.nn.Module):
        total_stride = 1

        def encode(self, image: Tensor) -> list[Tensor]:
            return [image]

        def denoise(self, noisy_mask: Tensor, t: Tensor, features: object) -> Tensor:
            self.asked = noisy_mask, t
            return answer

    network, process = Fixed(), MaskDiffusion(objective, mask_scale=scale)
    segmenter = DiffusionSegmenter(network, process, RegionLoss(), BandWeight(2, 3), PowerLawTimes(1000, 2.0))
    torch.manual_seed(3)
    loss = segmenter.loss(batch)
    torch.manual_seed(3)
    t = (torch.rand(4).sqrt() * 1000).long()
    noise = torch.randn(4, 1, 32, 32)
    a = process.alphas_cumprod()[t].view(-1, 1, 1, 1)
    x_t = add_noise(scale * batch.mask, noise, a)
    assert torch.equal(network.asked[1], t)
    torch.testing.assert_close(network.asked[0], x_t / (a * scale**2 + 1 - a).sqrt())
    weight = 1 + 2 * a * torch.exp(-batch.distance.square() / 18)
    target = {"epsilon": noise, "v": a.sqrt() * noise - (1 - a).sqrt() * scale * batch.mask}
    if objective == "x0":
        expected = RegionLoss()(answer, batch.mask, batch.distance, weight)
    else:
        expected = (weight * (answer - target[objective]) ** 2).mean()
    torch.testing.assert_close(loss, expected)


def test_what_the_network_reads_has_unit_variance_at_every_time(recorded: Recorded, batch: Batch) -> None:
    segmenter, network = recorded(lambda x, t, image: 0 * x, MaskDiffusion(mask_scale=0.1))
    for _ in range(40):
        segmenter.loss(batch)
    seen = torch.stack([x for x, _ in network.asked])
    assert float(seen.square().mean()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("objective", "own_samples", "self_conditioning"),
    [
        ("x0", 0.0, False),
        ("x0", 0.5, False),
        ("x0", 1.0, True),
        ("x0", 0.0, True),
        ("epsilon", 0.0, False),
        ("v", 0.0, True),
    ],
)
def test_gradients_are_finite_and_reach_every_parameter(
    objective: str, own_samples: float, self_conditioning: bool, trained: Make, batch: Batch
) -> None:
    segmenter = trained(
        diffusion={"objective": objective, "own_samples": own_samples, "self_conditioning": self_conditioning}
    )
    loss = segmenter.loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    wrong = [
        n
        for n, p in segmenter.named_parameters()
        if p.grad is None or not (p.grad.isfinite().all() and p.grad.any())
    ]
    assert wrong == []


@pytest.mark.parametrize("diffusion", [{}, {"own_samples": 0.5}, {"self_conditioning": True}, NOISE])
def test_the_loss_is_fixed_by_torchs_seed(diffusion: dict[str, object], trained: Make, batch: Batch) -> None:
    segmenter = trained(diffusion=diffusion)

    def loss(seed: int) -> float:
        torch.manual_seed(seed)
        return segmenter.loss(batch).item()

    assert loss(1) == loss(1) != loss(2)


def test_own_samples_are_noised_in_place_of_the_masks(recorded: Recorded, batch: Batch) -> None:
    segmenter, network = recorded(lambda x, t, image: torch.full_like(x, 0.8), own_samples=0.5)
    segmenter.loss(batch)
    (first, latest), (x, _) = network.asked
    assert first.shape == (2, 1, 32, 32)
    assert (latest == 999).all()  # the network's own estimate is made from pure noise
    assert float(first.std()) == pytest.approx(1, abs=0.05)
    torch.manual_seed(0)
    segmenter.loss(batch)
    torch.manual_seed(0)
    a = segmenter.process.alphas_cumprod()[(torch.rand(4) * 1000).long()].view(-1, 1, 1, 1)
    noise = torch.randn(4, 1, 32, 32)
    own = torch.full((2, 1, 32, 32), float(np.tanh(0.4)))  # 2 sigmoid(0.8) - 1
    expected = add_noise(torch.cat([own, batch.mask[2:]]), noise, a)
    torch.testing.assert_close(network.asked[-1][0], expected)
    assert x.shape == (4, 1, 32, 32)


def test_own_samples_are_too_large_or_too_small_by_a_shift_a_case(recorded: Recorded, batch: Batch) -> None:
    """At t = 0 little noise hides the estimate, tanh((0.8 + shift) / 2)."""
    process = MaskDiffusion(train_steps=2)
    segmenter, network = recorded(
        lambda x, t, image: torch.full_like(x, 0.8), process, own_samples=1.0, own_shift=3.0
    )
    abar = process.alphas_cumprod()
    found: list[Tensor] = []
    for _ in range(200):
        segmenter.loss(batch)
        x, t = network.asked[-1]
        spread = (abar[t] * 1.0 + 1 - abar[t]).sqrt()
        found.append((x.mean(dim=(1, 2, 3)) * spread / abar[t].sqrt())[t == 0])
    shifts = 2 * torch.atanh(torch.cat(found).clamp(-0.999, 0.999)) - 0.8
    middle = shifts[shifts.abs() < 3]  # far out the estimate saturates, and noise decides
    assert float(middle.mean()) == pytest.approx(0, abs=0.3)
    assert len(middle) / len(shifts) == pytest.approx(0.68, abs=0.06)


@pytest.mark.parametrize("own_samples", [0.0, 0.1])
def test_a_share_of_less_than_half_a_case_is_none(
    own_samples: float, recorded: Recorded, batch: Batch
) -> None:
    segmenter, network = recorded(lambda x, t, image: x, own_samples=own_samples)
    segmenter.loss(batch)
    assert len(network.asked) == 1


def test_self_conditioning_reads_the_last_estimate(recorded: Recorded, batch: Batch) -> None:
    segmenter, network = recorded(
        lambda x, t, image: x[:, :1] + 1, MaskDiffusion(mask_scale=0.5), self_conditioning=True
    )
    segmenter.segment(batch.image, IDS, Sampling(3))
    inputs = [x for x, _ in network.asked]
    assert [x.shape[1] for x in inputs] == [2, 2, 2]
    assert not inputs[0][:, 1].any()
    for before, after in pairwise(inputs):
        torch.testing.assert_close(after[:, 1], torch.tanh((before[:, 0] + 1) / 2))  # in the range of +-1


def test_self_conditioning_trains_with_an_estimate_for_half_of_the_batch(
    recorded: Recorded, batch: Batch
) -> None:
    segmenter, network = recorded(lambda x, t, image: x[:, :1] + 1, self_conditioning=True)
    segmenter.loss(batch)
    (first, t_first), (second, t_second) = network.asked
    assert not first[:, 1].any()
    assert not second[:2, 1].any()
    torch.testing.assert_close(second[2:, 1], torch.tanh((first[:, 0] + 1) / 2))
    assert torch.equal(t_first, t_second[2:])
    assert torch.equal(first[:, 0], second[2:, 0])


def test_the_schedule_is_no_part_of_the_weights(trained: Make) -> None:
    segmenter = trained()
    assert [name for name in segmenter.state_dict() if not name.startswith("network.")] == []
    twin = copy.deepcopy(segmenter)
    twin.load_state_dict(segmenter.state_dict())
    assert segmenter.total_stride == 8
