import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mlffm_segdiff.config.diffusion_config import ObjectiveName, ScheduleName
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplerName
from mlffm_segdiff.diffusion.dpm_solver import check_sampler
from mlffm_segdiff.diffusion.noise import draw_noise, noise_generators
from mlffm_segdiff.diffusion.process import MaskDiffusion
from mlffm_segdiff.diffusion.sampler import Estimate, sample, sampling_timesteps
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.segmenters.objectives import X0, Epsilon, V

ROWS = 3
SIZE = 8
MASK = torch.rand(3, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(5)).sub(0.5).sign()
SAMPLERS: tuple[SamplerName, ...] = ("ddim", "ddpm", "dpm")
OBJECTIVES: tuple[ObjectiveName, ...] = ("x0", "epsilon", "v")
SCHEDULES: dict[ScheduleName, str] = {"cosine": "squaredcos_cap_v2", "linear": "linear"}
PREDICTIONS = {"x0": "sample", "epsilon": "epsilon", "v": "v_prediction"}
Denoiser = Callable[[Tensor, int], Tensor]


def noise_source(rows: slice = slice(None), seed: int = 0) -> Callable[[], Tensor]:
    generators = noise_generators(seed, ROWS, 1)[rows]
    return lambda: draw_noise(generators, SIZE, SIZE)


def draw(estimate: Estimate, process: MaskDiffusion, sampler: SamplerName, steps: int) -> Tensor:
    return sample(estimate, process, sampler, steps, noise_source())


def perfect(x0: Tensor) -> Estimate:
    return lambda x, t: x0.float()


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_a_perfect_denoiser_gives_the_mask_back(
    sampler: SamplerName, schedule: ScheduleName, scale: float
) -> None:
    process = MaskDiffusion(schedule, mask_scale=scale)
    for steps in (1, 2, 4, 5, 7, 10, 300):
        found = draw(perfect(scale * MASK), process, sampler, steps)
        torch.testing.assert_close(found, scale * MASK, rtol=0, atol=1e-5)


def test_timesteps_are_spaced_evenly_down_from_pure_noise() -> None:
    assert sampling_timesteps(1000, 1) == [999]
    assert sampling_timesteps(1000, 4) == [999, 749, 499, 249]
    assert sampling_timesteps(1000, 3) == [999, 666, 332]
    assert sampling_timesteps(5, 5) == [4, 3, 2, 1, 0]


@given(st.integers(1, 2000), st.data())
def test_any_number_of_steps_is_distinct_and_even(train_steps: int, data: st.DataObject) -> None:
    steps = data.draw(st.integers(1, train_steps))
    times = sampling_timesteps(train_steps, steps)
    assert (len(times), times[0]) == (steps, train_steps - 1)
    gaps = -np.diff([*times, -1])
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("steps", [0, 6])
def test_more_steps_than_timesteps_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=f"{steps} sampling steps of a process of 5; give 1 to 5"):
        sampling_timesteps(5, steps)


def toy(process: MaskDiffusion) -> Callable[[np.ndarray, float], np.ndarray]:
    """A denoiser that any array library computes: bounded, not linear, aware of time."""
    return lambda x, t: process.mask_scale * np.tanh(1.3 * x + 0.2 - t / process.train_steps)


def torch_toy(process: MaskDiffusion) -> Denoiser:
    network = toy(process)
    return lambda x, t: torch.from_numpy(network(x.double().numpy(), float(t))).float()


def estimate_of(network: Denoiser, process: MaskDiffusion, objective: ObjectiveName) -> Estimate:
    """The estimate of x0 from a network of an objective, whose x0 output is x0 itself and not a logit."""
    if objective == "x0":
        return network
    meaning = Epsilon() if objective == "epsilon" else V(process.mask_scale)
    return lambda x, t: meaning.x0(network(x, t), x, process.alpha_bar[t])


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("schedule", "steps"), [("cosine", 1), ("cosine", 7), ("cosine", 8), ("linear", 10), ("linear", 300)]
)
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_ddim_is_equation_12_of_song_et_al(
    objective: ObjectiveName, schedule: ScheduleName, steps: int, scale: float
) -> None:
    process = MaskDiffusion(schedule, mask_scale=scale)
    network = toy(process)
    abar = np.append(process.alpha_bar.double().numpy(), 1.0)  # abar[-1] = 1 after the last step
    x = noise_source()().double().numpy()
    times = [round(1000 - n * 1000 / steps) - 1 for n in range(steps)] + [-1]
    for t, following in itertools.pairwise(times):
        output = network(x, t)
        a = abar[t]
        if objective == "x0":
            x0, noise = output, (x - np.sqrt(a) * output) / np.sqrt(1 - a)
        elif objective == "epsilon":
            x0, noise = (x - np.sqrt(1 - a) * output) / np.sqrt(a), output
        else:
            x0 = np.sqrt(a) * x - np.sqrt(1 - a) * output
            noise = np.sqrt(a) * output + np.sqrt(1 - a) * x
        x = np.sqrt(abar[following]) * np.clip(x0, -scale, scale) + np.sqrt(1 - abar[following]) * noise
    found = draw(estimate_of(torch_toy(process), process, objective), process, "ddim", steps)
    np.testing.assert_allclose(found, x, atol=2e-4)


def theirs(
    scheduler_class: Any, network: Denoiser, process: MaskDiffusion, objective: ObjectiveName, steps: int
) -> Tensor:
    """Diffusers' own sampler around the network, on the same noise."""
    scheduler = scheduler_class(
        process.train_steps,
        process.beta_start,
        process.beta_end,
        SCHEDULES[process.schedule],
        prediction_type=PREDICTIONS[objective],
        clip_sample=True,
        clip_sample_range=process.mask_scale,
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(steps)
    generators = noise_generators(0, ROWS, 1)
    x = draw_noise(generators, SIZE, SIZE)
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, int(t)), t, x, generator=generators).prev_sample
    return x


@pytest.mark.parametrize(("sampler", "scheduler"), [("ddim", DDIMScheduler), ("ddpm", DDPMScheduler)])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("train_steps", "steps"), [(1000, 1), (1000, 5), (100, 100), (60, 12)])
@pytest.mark.parametrize("scale", [1.0, 0.05])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_samplers_equal_diffusers_on_shared_noise(
    sampler: SamplerName,
    scheduler: type,
    objective: ObjectiveName,
    schedule: ScheduleName,
    train_steps: int,
    steps: int,
    scale: float,
) -> None:
    process = MaskDiffusion(schedule, train_steps, mask_scale=scale)
    network = torch_toy(process)
    found = draw(estimate_of(network, process, objective), process, sampler, steps)
    torch.testing.assert_close(
        found, theirs(scheduler, network, process, objective, steps), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("steps", [1, 4, 7])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_dpm_solver_is_diffusers_with_a_noise_network(steps: int) -> None:
    """Diffusers converts the network's noise to a mask itself, on a schedule that it makes itself."""
    process = MaskDiffusion("linear", mask_scale=0.2)
    network = torch_toy(process)
    scheduler = DPMSolverMultistepScheduler(
        beta_schedule="linear", timestep_spacing="trailing", final_sigmas_type="zero"
    )
    scheduler.set_timesteps(steps)
    x = noise_source()()
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, int(t)), t, x).prev_sample
    found = draw(estimate_of(network, process, "epsilon"), process, "dpm", steps)
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-4)


def test_dpm_solver_makes_as_many_steps_as_asked() -> None:
    """Diffusers' own timesteps end at -1 for 61, 103, 121, 122 and more steps, by rounding."""
    process, seen = MaskDiffusion(), list[int]()

    def estimate(x: Tensor, t: int) -> Tensor:
        seen.append(t)
        return x

    for steps in range(1, 131):
        seen.clear()
        sample(estimate, process, "dpm", steps, lambda: torch.zeros(1, 1, 1, 1))
        assert seen == sampling_timesteps(process.train_steps, steps)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ddpm_draws_from_the_posterior_of_bayes_rule(schedule: ScheduleName) -> None:
    """Two steps of T = 2: the first is a draw from q(x_0' | x_1, x_0), by Bayes' rule on Gaussians."""
    process = MaskDiffusion(schedule, 2, 0.3, 0.6)
    betas = process.betas().double()
    estimates = [0.7 * MASK, 0.2 * MASK]
    found = draw(lambda x, t: estimates[t], process, "ddpm", 2)
    torch.testing.assert_close(found, estimates[0])
    seen: list[Tensor] = []

    def recording(x: Tensor, t: int) -> Tensor:
        seen.append(x)
        return estimates[t]

    draw(recording, process, "ddpm", 2)
    noise = noise_source()
    start, fresh = noise().double(), noise().double()
    # q(x_0' | x_1) is proportional to N(x_1; sqrt(1 - b_1) x_0', b_1) N(x_0'; sqrt(1 - b_0) m, b_0)
    variance = 1 / ((1 - betas[1]) / betas[1] + 1 / betas[0])
    mean = variance * (
        (1 - betas[1]).sqrt() * start / betas[1] + (1 - betas[0]).sqrt() * estimates[1] / betas[0]
    )
    torch.testing.assert_close(seen[1].double(), mean + variance.sqrt() * fresh, rtol=0, atol=1e-5)


BETAS = np.linspace(4e-4, 0.08, 250)
ABAR = np.cumprod(1 - BETAS)


@pytest.mark.parametrize("t", [249, 248, 125, 20, 1, 0])
def test_a_step_of_dermosegdiff_is_equation_11_of_ho_et_al(t: int) -> None:
    """Their published code: (x_t - beta / sqrt(1 - abar) noise) / sqrt(alpha), plus the posterior's noise."""
    process = MaskDiffusion("linear", 250, 4e-4, 0.08)
    seen: list[Tensor] = []
    noises: list[Tensor] = []
    source = noise_source()

    def recording_noise() -> Tensor:
        noises.append(source())
        return noises[-1]

    def estimate(x: Tensor, _: int) -> Tensor:
        seen.append(x)
        return 0.7 * MASK

    found = sample(estimate, process, "ddpm", 250, recording_noise)
    step = 249 - t
    x_t = seen[step].double()
    noise = (x_t - np.sqrt(ABAR[t]) * 0.7 * MASK) / np.sqrt(1 - ABAR[t])
    mean = (x_t - BETAS[t] / np.sqrt(1 - ABAR[t]) * noise) / np.sqrt(1 - BETAS[t])
    variance = (1 - (ABAR[t - 1] if t else 1.0)) / (1 - ABAR[t]) * BETAS[t]
    after = [*seen[1:], found][step]
    expected = mean + np.sqrt(variance) * noises[step + 1]
    torch.testing.assert_close(after.double(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("sampler", "rate"), [("ddim", 1.7), ("dpm", 3.0)])
def test_samplers_approach_the_probability_flow_at_their_order(sampler: SamplerName, rate: float) -> None:
    """Masks drawn from N(0.1, 0.2^2) have the flow x_t = sqrt(abar) 0.1 + sqrt(abar 0.2^2 + 1 - abar) z.

    DDIM is of first order, DPM-Solver++ of second: twice the steps halve or quarter the error.
    """
    process = MaskDiffusion("cosine")
    alphas = process.alpha_bar.double()

    def posterior_mean(x: Tensor, t: int) -> Tensor:
        a = alphas[t]
        return (0.1 + a.sqrt() * 0.04 * (x.double() - a.sqrt() * 0.1) / (a * 0.04 + 1 - a)).float()

    noise, last = noise_source()().double(), alphas[-1]
    flow = 0.1 + 0.2 * (noise - last.sqrt() * 0.1) / (last * 0.04 + 1 - last).sqrt()
    errors = [
        float((draw(posterior_mean, process, sampler, steps) - flow).abs().mean()) for steps in (20, 40)
    ]
    assert errors[1] < 0.02
    assert errors[0] / errors[1] > rate


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_estimates_of_ddim_and_ddpm_stay_in_the_masks_range(sampler: SamplerName) -> None:
    found = draw(lambda x, t: 0.9 * x, MaskDiffusion(mask_scale=0.2), sampler, 5)
    assert float(found.abs().max()) <= 0.2 + 1e-6


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown sampler 'DDIM'; give one of ddim, ddpm, dpm"):
        sample(lambda x, t: x, MaskDiffusion(), "DDIM", 2, lambda: torch.zeros(1, 1, 2, 2))


def test_estimates_of_dpm_are_not_clipped() -> None:
    found = draw(lambda x, t: 0.9 * x, MaskDiffusion(mask_scale=0.2), "dpm", 5)
    assert float(found.abs().max()) > 0.2 + 1e-6


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_row_is_drawn_the_same_by_itself(sampler: SamplerName) -> None:
    process = MaskDiffusion()
    logit = X0(RegionLoss(), 1.0)

    def estimate(x: Tensor, t: int) -> Tensor:
        return logit.x0(2 * x + t / 500, x, process.alpha_bar[t])

    together = draw(estimate, process, sampler, 5)
    for row in range(ROWS):
        rows = slice(row, row + 1)
        single = sample(estimate, process, sampler, 5, noise_source(rows))
        torch.testing.assert_close(single, together[rows], rtol=0, atol=1e-6)


def test_dpm_without_its_package_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    for work in (
        lambda: check_sampler("dpm"),
        lambda: draw(perfect(MASK), MaskDiffusion(), "dpm", 2),
    ):
        with pytest.raises(UserError, match=r"diffusers is not installed; .*\[dpm\]\"$"):
            work()
    check_sampler("ddim")
    draw(perfect(MASK), MaskDiffusion(), "ddpm", 2)
