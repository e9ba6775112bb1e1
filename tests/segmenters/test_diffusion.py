import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mlffm_segdiff.config.diffusion_config import ObjectiveName
from mlffm_segdiff.config.schema import FusionName, SamplerName, SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.diffusion.fusion import staple_probability
from mlffm_segdiff.diffusion.noise import draw_noise, noise_generators, sample_levels
from mlffm_segdiff.diffusion.process import MaskDiffusion, add_noise, velocity
from mlffm_segdiff.losses.boundary_weight import BandWeight
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.segmenters import diffusion
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter

Make = Callable[..., BaseSegmenter]
Recorded = Callable[..., tuple[DiffusionSegmenter, Any]]
Around = Callable[..., DiffusionSegmenter]
OBJECTIVES: tuple[ObjectiveName, ...] = ("x0", "epsilon", "v")
FUSIONS: tuple[FusionName, ...] = ("mean", "staple")


def probability(segmenter: BaseSegmenter, image: Tensor, sampling: SamplingConfig) -> Tensor:
    return segmenter.segment(image, sampling).probability


# A batch of another size rounds otherwise, by about 1e-7; an epsilon network's estimate of the mask divides
# that by sqrt(abar_T) = 0.006.
@pytest.mark.parametrize(
    ("objective", "schedule", "samples", "tolerance"),
    [
        ("x0", "cosine", 0, 1e-5),
        ("x0", "cosine", 2, 1e-5),
        ("x0", "linear", 2, 1e-5),
        ("v", "cosine", 2, 1e-5),
        ("epsilon", "linear", 2, 1e-4),
    ],
)
@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm"])
@pytest.mark.parametrize("self_conditioning", [True, False])
def test_a_case_does_not_depend_on_batch_order_or_neighbours(
    objective: str,
    schedule: str,
    samples: int,
    tolerance: float,
    sampler: SamplerName,
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
            "training": "single",
        },
        sampling={"samples": 1},
    )
    sampling = SamplingConfig(samples=samples, steps=4, seed=0, sampler=sampler)
    together = probability(segmenter, batch.image, sampling)
    assert float(together.std()) > 0.01
    order = [2, 0, 3, 1]
    shuffled = probability(segmenter, batch.image[order], sampling)
    torch.testing.assert_close(shuffled, together[order], rtol=0, atol=tolerance)
    for rows in ([0], [1], [2], [3], [3, 1]):
        few = probability(segmenter, batch.image[rows], sampling)
        torch.testing.assert_close(few, together[rows], rtol=0, atol=tolerance)


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_a_result_depends_on_the_seed_and_not_on_the_place_in_the_batch(
    samples: int, trained: Make, batch: Batch
) -> None:
    segmenter = trained()
    first = probability(segmenter, batch.image, SamplingConfig(samples=samples, steps=2))
    assert torch.equal(first, probability(segmenter, batch.image, SamplingConfig(samples=samples, steps=2)))
    assert not torch.equal(
        first, probability(segmenter, batch.image, SamplingConfig(samples=samples, steps=2, seed=1))
    )
    repeated = probability(segmenter, batch.image[[1, 1, 1, 1]], SamplingConfig(samples=samples, steps=2))
    assert all(torch.equal(one, repeated[0]) for one in repeated)


def test_every_image_starts_from_the_noise_of_the_seed_and_sample(recorded: Recorded, batch: Batch) -> None:
    segmenter, network = recorded(lambda x, t, image: x)
    segmenter.segment(batch.image, SamplingConfig(samples=3, steps=1, seed=5))
    ((x, _),) = network.asked
    noise = draw_noise(noise_generators(5, 3, 1), 32, 32)
    torch.testing.assert_close(x.view(3, 4, 32, 32), noise.expand(3, 4, 32, 32))
    assert not torch.equal(noise[0], noise[1])


def test_torchs_own_generator_plays_no_part_in_segmenting(trained: Make, batch: Batch) -> None:
    segmenter = trained()
    state = torch.get_rng_state()
    first = probability(segmenter, batch.image, SamplingConfig(samples=1, steps=3, sampler="ddpm"))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(
        first, probability(segmenter, batch.image, SamplingConfig(samples=1, steps=3, sampler="ddpm"))
    )


@pytest.mark.parametrize(("samples", "steps"), [(1, 1), (1, 4), (5, 3)])
def test_the_image_is_encoded_once_whatever_the_steps_and_samples(
    samples: int, steps: int, recorded: Recorded, batch: Batch
) -> None:
    segmenter, network = recorded(lambda x, t, image: x)
    segmenter.segment(batch.image, SamplingConfig(samples=samples, steps=steps))
    assert len(network.encoded) == 1
    assert [len(x) for x, _ in network.asked] == [4 * samples] * steps
    segmenter.loss(batch)
    assert len(network.encoded) == 2


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm"])
@pytest.mark.parametrize("self_conditioning", [True, False])
def test_no_samples_give_the_posterior_mean_from_one_call_at_the_last_timestep(
    sampler: SamplerName, self_conditioning: bool, recorded: Recorded, batch: Batch
) -> None:
    """It is the first sample's estimate in one step; here sigmoid(2 noise + 1), for any ``steps``."""
    segmenter, network = recorded(
        lambda x, t, image: 2 * x[:, :1] + 1,
        MaskDiffusion(mask_scale=0.3),
        self_conditioning=self_conditioning,
    )
    found = segmenter.segment(batch.image, SamplingConfig(samples=0, steps=4, seed=7, sampler=sampler))
    ((x, t),) = network.asked
    assert (len(x), t.tolist()) == (4, [999] * 4)
    assert found.samples is None
    assert found.spread.shape == found.probability.shape == (4, 1, 32, 32)
    assert not found.spread.any()
    noise = draw_noise(noise_generators(7, 1, 4), 32, 32)
    torch.testing.assert_close(found.probability, torch.sigmoid(2 * noise + 1))
    drawn = segmenter.segment(batch.image, SamplingConfig(samples=1, steps=1, seed=7, sampler=sampler))
    assert torch.equal(found.probability, drawn.probability)
    several = segmenter.segment(batch.image, SamplingConfig(samples=3, steps=1, seed=7, sampler=sampler))
    assert several.samples is not None
    torch.testing.assert_close(found.probability, several.samples[0])


@pytest.mark.parametrize(("samples", "steps"), [(0, 4), (1, 2), (3, 2)])
def test_mirror_is_the_mean_over_four_mirrored_runs(
    samples: int, steps: int, trained: Make, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def symmetric(generators: list[torch.Generator], height: int, width: int) -> Tensor:
        return torch.stack([torch.full((1, height, width), g.initial_seed() % 7 - 3.0) for g in generators])

    monkeypatch.setattr("mlffm_segdiff.diffusion.noise.draw_noise", symmetric)
    segmenter = trained()
    plain = SamplingConfig(samples=samples, steps=steps, seed=3)
    found = segmenter.segment(batch.image, SamplingConfig(samples=samples, steps=steps, seed=3, mirror=True))
    runs = []
    for down in (1, -1):
        for across in (1, -1):
            image = torch.from_numpy(batch.image.numpy()[:, :, ::down, ::across].copy())
            one = segmenter.segment(image, plain)
            drawn = one.probability[None] if one.samples is None else one.samples
            runs.append(drawn.numpy()[:, :, :, ::down, ::across])
    expected = np.mean(runs, axis=0)
    np.testing.assert_allclose(found.probability, expected.mean(axis=0), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.spread, expected.std(axis=0), rtol=0, atol=1e-6)
    if samples:
        np.testing.assert_allclose(found.samples, expected, rtol=0, atol=1e-6)
    else:
        assert found.samples is None
    once = probability(segmenter, batch.image, plain)
    assert float((found.probability - once).abs().max()) > 1e-3


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm"])
def test_mirroring_flips_the_noise_with_the_image_so_that_samples_stay_apart(
    sampler: SamplerName, recorded: Recorded, batch: Batch
) -> None:
    segmenter, _ = recorded(lambda x, t, image: 2 * x + image[:, :1])
    plain = segmenter.segment(batch.image, SamplingConfig(samples=3, steps=3, seed=3, sampler=sampler))
    mirrored = segmenter.segment(
        batch.image, SamplingConfig(samples=3, steps=3, seed=3, sampler=sampler, mirror=True)
    )
    torch.testing.assert_close(mirrored.samples, plain.samples)
    torch.testing.assert_close(mirrored.spread, plain.spread)


def test_mirror_encodes_each_mirrored_image_once(recorded: Recorded, batch: Batch) -> None:
    segmenter, network = recorded(lambda x, t, image: x)
    segmenter.segment(batch.image, SamplingConfig(samples=3, steps=2, mirror=True))
    axes: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))
    assert len(network.encoded) == len(axes)
    for encoded, turned in zip(network.encoded, axes, strict=True):
        assert torch.equal(encoded, batch.image.flip(turned))
    assert [len(x) for x, _ in network.asked] == [12] * 8


def test_a_mirrored_image_gets_the_mirrored_map(trained: Make, batch: Batch) -> None:
    segmenter, sampling = trained(), SamplingConfig(mirror=True)
    found = probability(segmenter, batch.image, sampling)
    for axes in ((2,), (3,), (2, 3)):
        turned = probability(segmenter, batch.image.flip(axes), sampling)
        torch.testing.assert_close(turned.flip(axes), found, rtol=0, atol=1e-6)


def test_probability_is_the_mean_and_spread_the_sd_of_the_samples(recorded: Recorded, batch: Batch) -> None:
    """With one step and a network that answers with its input, a sample is sigmoid(noise)."""
    segmenter, _ = recorded(lambda x, t, image: 3 * x)
    found = segmenter.segment(batch.image, SamplingConfig(samples=4, steps=1, seed=7))
    noise = draw_noise(noise_generators(7, 4, 4), 32, 32).double().numpy().reshape(4, 4, 1, 32, 32)
    samples = 1 / (1 + np.exp(-3 * noise))
    np.testing.assert_allclose(found.samples, samples, atol=1e-5)
    np.testing.assert_allclose(found.probability, samples.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.spread, samples.std(axis=0), atol=1e-5)
    assert float(found.spread.min()) > 0


def test_samples_are_fused_as_requested_and_their_spread_is_the_same(
    recorded: Recorded, batch: Batch
) -> None:
    segmenter, _ = recorded(lambda x, t, image: 3 * x)
    mean, staple = (
        segmenter.segment(batch.image, SamplingConfig(samples=4, steps=1, seed=7, fusion=f)) for f in FUSIONS
    )
    noise = draw_noise(noise_generators(7, 4, 1), 32, 32).numpy()
    expected = staple_probability(noise[:, 0] >= 0)
    for image in range(4):
        np.testing.assert_allclose(staple.probability[image, 0], expected, rtol=0, atol=1e-6)
    assert torch.equal(staple.spread, mean.spread)


def test_one_sample_has_no_spread(trained: Make, batch: Batch) -> None:
    found = trained().segment(batch.image, SamplingConfig(samples=1, steps=2))
    assert found.probability.shape == found.spread.shape == (4, 1, 32, 32)
    assert found.samples is not None
    assert torch.equal(found.samples, found.probability[None])
    assert not found.spread.any()
    assert 0 <= float(found.probability.min()) < float(found.probability.max()) <= 1


def knowing(
    process: MaskDiffusion, objective: ObjectiveName, mask: Tensor
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A network that outputs each sample's mask: its input has unit variance, so x_t is it times its SD."""
    table = process.alpha_bar

    def output(scaled: Tensor, t: Tensor, _image: Tensor) -> Tensor:
        a, masks = table[t].view(-1, 1, 1, 1).double(), mask.repeat(len(t) // len(mask), 1, 1, 1)
        x0 = process.mask_scale * masks
        noise = (scaled * (a * process.mask_scale**2 + 1 - a).sqrt() - a.sqrt() * x0) / (1 - a).sqrt()
        return {"x0": 40 * masks, "epsilon": noise, "v": velocity(x0, noise, a)}[objective].float()

    return output


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_a_perfect_network_has_no_loss_and_draws_the_mask(
    objective: ObjectiveName, scale: float, recorded: Recorded, batch: Batch
) -> None:
    process = MaskDiffusion(mask_scale=scale)
    segmenter, _ = recorded(knowing(process, objective, batch.mask), process, objective=objective)
    assert float(segmenter.loss(batch)) < 1e-5
    for sampler in ("ddim", "ddpm", "dpm"):
        found = probability(
            segmenter, batch.image, SamplingConfig(samples=2, steps=4, seed=0, sampler=sampler)
        )
        torch.testing.assert_close(found, (batch.mask + 1) / 2, rtol=0, atol=0.05)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_the_loss_by_hand(objective: ObjectiveName, scale: float, around: Around, batch: Batch) -> None:
    """Random numbers are drawn again in the order times, noise; the network answers with a fixed map."""
    answer = torch.randn(4, 1, 32, 32)

    class Fixed(torch.nn.Module):
        total_stride = 1

        def encode(self, image: Tensor) -> list[Tensor]:
            return [image]

        def denoise(self, noisy_mask: Tensor, t: Tensor, features: object) -> Tensor:
            self.asked = noisy_mask, t
            return answer

    network, process = Fixed(), MaskDiffusion(mask_scale=scale)
    segmenter = around(network, process, objective, BandWeight(2, 3), noisy_bias=2.0)
    torch.manual_seed(3)
    loss = segmenter.loss(batch)
    torch.manual_seed(3)
    t = (torch.rand(4).sqrt() * 1000).long()
    noise = torch.randn(4, 1, 32, 32)
    a = process.alpha_bar[t].view(-1, 1, 1, 1)
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
    ("objective", "training", "self_conditioning"),
    [
        ("x0", "single", False),
        ("x0", "single", True),
        ("x0", "dual", False),
        ("x0", "dual", True),
        ("x0", "recycling", False),
        ("x0", "recycling", True),
        ("epsilon", "single", False),
        ("v", "single", True),
    ],
)
def test_gradients_are_finite_and_reach_every_parameter(
    objective: str, training: str, self_conditioning: bool, trained: Make, batch: Batch
) -> None:
    segmenter = trained(
        diffusion={"objective": objective, "training": training, "self_conditioning": self_conditioning},
        sampling={"samples": 1},
    )
    loss = segmenter.loss(batch)
    loss.backward()
    assert loss.isfinite()
    wrong = [
        n
        for n, p in segmenter.named_parameters()
        if p.grad is None or not (p.grad.isfinite().all() and p.grad.any())
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "diffusion",
    [
        {"training": "dual"},
        {"training": "single"},
        {"training": "recycling"},
        {"self_conditioning": True},
        {"objective": "epsilon", "training": "single"},
    ],
)
def test_the_loss_is_fixed_by_torchs_seed(diffusion: dict[str, object], trained: Make, batch: Batch) -> None:
    segmenter = trained(diffusion=diffusion, sampling={"samples": 1})

    def loss(seed: int) -> float:
        torch.manual_seed(seed)
        return segmenter.loss(batch).item()

    assert loss(1) == loss(1) != loss(2)


def test_self_conditioning_reads_the_last_estimate(recorded: Recorded, batch: Batch) -> None:
    segmenter, network = recorded(
        lambda x, t, image: x[:, :1] + 1, MaskDiffusion(mask_scale=0.5), self_conditioning=True
    )
    segmenter.segment(batch.image, SamplingConfig(samples=1, steps=3))
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


def test_the_schedule_is_not_part_of_the_weights(trained: Make) -> None:
    segmenter = trained()
    assert [name for name in segmenter.state_dict() if not name.startswith("network.")] == []
    twin = copy.deepcopy(segmenter)
    twin.load_state_dict(segmenter.state_dict())
    assert segmenter.total_stride == 8


def test_widening_moves_the_last_logit_away_from_the_posterior_means(
    recorded: Recorded, batch: Batch
) -> None:
    """A network whose logit is 0.3 at t = T and 0.5 later, everywhere: C leaves constants as they are."""
    segmenter, _ = recorded(lambda x, t, image: torch.where(t < 999, 0.5, 0.3).view(-1, 1, 1, 1).expand_as(x))
    for widening in (1.0, 2.5):
        found = segmenter.segment(batch.image, SamplingConfig(samples=1, steps=2, widening=widening))
        expected = 1 / (1 + np.exp(-(0.5 + (widening - 1) * 0.2)))
        np.testing.assert_allclose(found.probability.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_logit_spread_shifts_the_whole_of_each_sample(
    mirror: bool, recorded: Recorded, batch: Batch
) -> None:
    """A network whose logit is 0.4 everywhere."""
    segmenter, _ = recorded(lambda x, t, image: torch.full_like(x, 0.4))
    sampling = SamplingConfig(samples=5, steps=2, seed=3, logit_spread=1.5, mirror=mirror)
    found = segmenter.segment(batch.image, sampling)
    assert found.samples is not None
    for number, level in enumerate(sample_levels(3, 5)):
        expected = 1 / (1 + np.exp(-(0.4 + 1.5 * level)))
        np.testing.assert_allclose(found.samples[number].numpy(), expected, rtol=1e-5)
    torch.testing.assert_close(found.probability, found.samples.mean(0))


def test_a_logit_spread_leaves_the_posterior_mean_and_what_is_certain(
    recorded: Recorded, batch: Batch
) -> None:
    segmenter, _ = recorded(lambda x, t, image: torch.where(image[:, :1] > 0, 0.4, -1e4))
    spread = SamplingConfig(samples=0, logit_spread=2.0)
    expected = segmenter.segment(batch.image, SamplingConfig()).probability
    assert torch.equal(segmenter.segment(batch.image, spread).probability, expected)
    drawn = segmenter.segment(batch.image, SamplingConfig(samples=4, logit_spread=2.0)).samples
    assert drawn is not None
    certain = (batch.image[:, :1] <= 0).expand_as(drawn[0])
    assert bool(certain.any())
    assert float(drawn[:, certain].max()) < 1e-3


def test_the_coarse_part_is_the_mean_over_quarters() -> None:
    x = torch.zeros(1, 1, 16, 16)
    x[..., :4, :4] = 4.0
    found = diffusion.coarse(x)
    assert found.shape == x.shape
    assert float(found[0, 0, 0, 0]) == pytest.approx(4.0)  # the first square's mean, at its corner
    assert float(found.sum()) == pytest.approx(64.0)
    torch.testing.assert_close(
        diffusion.coarse(torch.full((1, 1, 16, 24), 3.0)), torch.full((1, 1, 16, 24), 3.0)
    )
