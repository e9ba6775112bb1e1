import itertools
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor

from mlffm_segdiff.diffusion.noise import noise_generators, starting_noise
from mlffm_segdiff.diffusion.process import MaskDiffusion, Objective, Schedule, velocity
from mlffm_segdiff.diffusion.sampler import Predict, SamplerName, make_scheduler, sample

ROWS = 3
SIZE = 8
MASK = torch.rand(3, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(5)).sub(0.5).sign()
SAMPLERS: tuple[SamplerName, ...] = ("ddim", "ddpm", "dpm")
OBJECTIVES: tuple[Objective, ...] = ("x0", "epsilon", "v")


def draw(predict: Predict, process: MaskDiffusion, sampler: SamplerName, steps: int) -> Tensor:
    generators = noise_generators(0, ROWS, 1)
    noise = starting_noise(generators, SIZE, SIZE)
    return sample(predict, make_scheduler(sampler, process), steps, noise, generators)


def perfect(process: MaskDiffusion, x0: Tensor) -> Predict:
    """What a network that knows the mask says, computed from equation 4 of Ho et al. in float64."""
    alphas = process.alphas_cumprod().double()

    def predict(x: Tensor, t: Tensor) -> Tensor:
        a = alphas[int(t)]
        noise = (x.double() - a.sqrt() * x0) / (1 - a).sqrt()
        known = {"x0": x0, "epsilon": noise, "v": velocity(x0, noise, a)}
        return known[process.objective].float()

    return predict


@pytest.mark.parametrize(("sampler", "objective"), list(itertools.product(SAMPLERS, OBJECTIVES)))
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_a_perfect_denoiser_gives_the_mask_back(
    sampler: SamplerName, objective: Objective, schedule: Schedule, scale: float
) -> None:
    process = MaskDiffusion(objective, schedule, mask_scale=scale)
    x0 = scale * MASK.double()
    for steps in (1, 2, 4, 5, 10, 20):
        found = draw(perfect(process, x0), process, sampler, steps)
        torch.testing.assert_close(found.double(), x0, rtol=0, atol=1e-2)  # float32 at abar_T = 2e-9


def test_ddim_leaves_a_little_noise_where_the_steps_do_not_divide_the_times() -> None:
    """Diffusers counts back by whole numbers of times, here 142, so it ends at t = 0 and not before it."""
    process = MaskDiffusion()
    found = draw(perfect(process, MASK.double()), process, "ddim", 7)
    left = (found.double() - MASK) / (1 - process.alphas_cumprod()[0].double()).sqrt()
    noise = starting_noise(noise_generators(0, ROWS, 1), SIZE, SIZE).double()
    torch.testing.assert_close(left, noise, rtol=0, atol=0.1)
    assert float(left.std()) > 0.9
    torch.testing.assert_close(found, MASK, rtol=0, atol=0.03)


def test_the_faithful_control_gives_the_mask_back_in_all_its_steps() -> None:
    process = MaskDiffusion("epsilon", "linear", 250, 4e-4, 0.08)
    found = draw(perfect(process, MASK.double()), process, "ddpm", 250)
    torch.testing.assert_close(found, MASK, rtol=0, atol=2e-3)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_times_are_trailing_so_the_first_is_pure_noise(sampler: SamplerName) -> None:
    scheduler = make_scheduler(sampler, MaskDiffusion())
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [999, 749, 499, 249]
    scheduler.set_timesteps(1)
    assert scheduler.timesteps.tolist() == [999]


def toy(process: MaskDiffusion) -> Callable[[np.ndarray, float], np.ndarray]:
    """A denoiser that any array library computes: bounded, not linear, aware of time."""
    return lambda x, t: process.mask_scale * np.tanh(1.3 * x + 0.2 - t / process.train_steps)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("schedule", "steps"), [("cosine", 1), ("cosine", 8), ("linear", 10)])
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_ddim_is_equation_12_of_song_et_al(
    objective: Objective, schedule: Schedule, steps: int, scale: float
) -> None:
    process = MaskDiffusion(objective, schedule, mask_scale=scale)
    network = toy(process)
    abar = np.append(process.alphas_cumprod().double().numpy(), 1.0)  # abar[-1] = 1 after the last step
    x = starting_noise(noise_generators(0, ROWS, 1), SIZE, SIZE).double().numpy()
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

    def predict(x: Tensor, t: Tensor) -> Tensor:
        return torch.from_numpy(network(x.double().numpy(), float(t))).float()

    np.testing.assert_allclose(draw(predict, process, "ddim", steps), x, atol=1e-4)


@pytest.fixture(scope="module")
def network() -> UNet2DModel:
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return UNet2DModel(
            SIZE, 1, 1, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, **blocks
        ).eval()


@pytest.mark.parametrize(("sampler", "pipeline"), [("ddim", DDIMPipeline), ("ddpm", DDPMPipeline)])
@pytest.mark.parametrize("objective", ["epsilon", "v"])
@pytest.mark.parametrize("steps", [1, 5])
def test_our_loop_equals_diffusers_pipeline_on_shared_noise(
    sampler: SamplerName, pipeline: type, objective: Objective, steps: int, network: UNet2DModel
) -> None:
    process = MaskDiffusion(objective, "linear")
    pipe = pipeline(network, make_scheduler(sampler, process))
    pipe.set_progress_bar_config(disable=True)
    generators = noise_generators(0, ROWS, 1)
    expected = pipe(
        batch_size=3, generator=generators, num_inference_steps=steps, output_type="np", return_dict=False
    )[0]
    with torch.no_grad():
        found = draw(lambda x, t: network(x, t).sample, process, sampler, steps)
    np.testing.assert_allclose((found[:, 0] / 2 + 0.5).clamp(0, 1), expected[..., 0], atol=1e-6)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("objective", ["x0", "epsilon"])
def test_ddpm_draws_from_the_posterior_of_ho_et_al(schedule: Schedule, objective: Objective) -> None:
    """Equation 7: its mean and variance, with the noise drawn again from a generator of the same state."""
    process = MaskDiffusion(objective, schedule, train_steps=50)
    scheduler: DDPMScheduler = make_scheduler("ddpm", process)
    scheduler.set_timesteps(50)
    abar = process.alphas_cumprod().double().numpy()
    x_t = starting_noise(noise_generators(1, ROWS, 1), SIZE, SIZE)
    for t in (1, 20, 48):
        x0 = 0.7 * MASK.double()
        output = perfect(process, x0)(x_t, torch.tensor(t))
        alpha = abar[t] / abar[t - 1]
        mean = (
            np.sqrt(abar[t - 1]) * (1 - alpha) / (1 - abar[t]) * x0
            + np.sqrt(alpha) * (1 - abar[t - 1]) / (1 - abar[t]) * x_t
        )
        variance = (1 - abar[t - 1]) / (1 - abar[t]) * (1 - alpha)
        drawn = starting_noise(noise_generators(900 + t, ROWS, 1), SIZE, SIZE)
        found = scheduler.step(output, t, x_t, generator=noise_generators(900 + t, ROWS, 1)).prev_sample
        torch.testing.assert_close(found.double(), mean + np.sqrt(variance) * drawn, rtol=0, atol=2e-4)


@pytest.mark.parametrize("objective", ["epsilon", "v"])
@pytest.mark.parametrize(("output", "variance"), [(-1.0, "fixed_small"), (1.0, "fixed_large")])
def test_a_learned_variance_at_its_bounds_draws_as_diffusers_fixed_ones(
    objective: Objective, output: float, variance: str
) -> None:
    process = MaskDiffusion(objective, train_steps=30, mask_scale=0.5, learned_variance=True)
    fixed = DDPMScheduler(
        **process.scheduler_settings(), clip_sample=True, clip_sample_range=0.5, variance_type=variance
    )

    def predict(x: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(0.5 * x + t / 30)

    def learned(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat([predict(x, t), torch.full_like(x, output)], dim=1)

    generators = noise_generators(0, ROWS, 1)
    expected = sample(predict, fixed, 30, starting_noise(generators, SIZE, SIZE), generators)
    torch.testing.assert_close(draw(learned, process, "ddpm", 30), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 3, 7, 30])
def test_the_step_to_the_mask_adds_no_noise_whatever_variance_is_learned(steps: int) -> None:
    """A network that knows the mask gives it back."""
    process = MaskDiffusion("epsilon", train_steps=30, learned_variance=True)
    perfectly = perfect(process, MASK.double())

    def learned(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat([perfectly(x, t), torch.ones_like(x)], dim=1)

    torch.testing.assert_close(draw(learned, process, "ddpm", steps), MASK, rtol=0, atol=2e-3)


@pytest.mark.parametrize("sampler", ["ddim", "dpm"])
def test_samplers_without_variance_refuse_a_learned_one(sampler: SamplerName) -> None:
    with pytest.raises(ValueError, match=f"for the sampler ddpm, not {sampler}"):
        make_scheduler(sampler, MaskDiffusion("v", learned_variance=True))


DERMOSEGDIFF = MaskDiffusion("epsilon", "linear", 250, 4e-4, 0.08)
BETAS = np.linspace(4e-4, 0.08, 250)
ABAR = np.cumprod(1 - BETAS)


def test_the_times_and_alphas_of_dermosegdiff() -> None:
    np.testing.assert_allclose(DERMOSEGDIFF.alphas_cumprod(), ABAR, rtol=1e-5)
    scheduler = make_scheduler("ddpm", DERMOSEGDIFF)
    scheduler.set_timesteps(250)
    assert scheduler.timesteps.tolist() == list(range(249, -1, -1))


@pytest.mark.parametrize("t", [249, 248, 125, 20, 1, 0])
def test_a_step_of_dermosegdiff_is_the_posterior_and_diffusers(t: int) -> None:
    """Ho et al.'s equation 7 in x0, their 11 in epsilon (as the published code), and diffusers' own step."""
    before = ABAR[t - 1] if t else 1.0
    x0 = 0.7 * MASK.double()
    x_t = starting_noise(noise_generators(1, ROWS, 1), SIZE, SIZE)
    noise = (x_t.double() - np.sqrt(ABAR[t]) * x0) / np.sqrt(1 - ABAR[t])
    from_x0 = np.sqrt(before) * BETAS[t] * x0 + np.sqrt(1 - BETAS[t]) * (1 - before) * x_t.double()
    mean = from_x0 / (1 - ABAR[t])
    from_epsilon = (x_t - BETAS[t] / np.sqrt(1 - ABAR[t]) * noise) / np.sqrt(1 - BETAS[t])
    torch.testing.assert_close(from_epsilon, mean, rtol=0, atol=1e-9)
    variance = (1 - before) / (1 - ABAR[t]) * BETAS[t]
    assert (variance == 0) == (t == 0)

    ours = make_scheduler("ddpm", DERMOSEGDIFF)
    theirs = DDPMScheduler(250, 4e-4, 0.08, "linear", variance_type="fixed_small", clip_sample=True)
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(250)
        drawn = starting_noise(noise_generators(900 + t, ROWS, 1), SIZE, SIZE)
        generators = noise_generators(900 + t, ROWS, 1)
        found = scheduler.step(noise.float(), t, x_t, generator=generators).prev_sample
        torch.testing.assert_close(found.double(), mean + np.sqrt(variance) * drawn, rtol=0, atol=1e-4)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_mean_and_variance_of_many_steps_of_dermosegdiff() -> None:
    """40,000 draws of one step: their mean within 4 standard errors, their variance within 4 of its own."""
    t, count, x_t, noise = 125, 40_000, 0.3, 0.25
    x0 = (x_t - np.sqrt(1 - ABAR[t]) * noise) / np.sqrt(ABAR[t])
    mean = np.sqrt(ABAR[t - 1]) * BETAS[t] * x0 + np.sqrt(1 - BETAS[t]) * (1 - ABAR[t - 1]) * x_t
    mean /= 1 - ABAR[t]
    variance = (1 - ABAR[t - 1]) / (1 - ABAR[t]) * BETAS[t]
    scheduler = make_scheduler("ddpm", DERMOSEGDIFF)
    scheduler.set_timesteps(250)
    shape = (1, 1, 1, count)
    found = scheduler.step(
        torch.full(shape, noise), t, torch.full(shape, x_t), generator=torch.Generator().manual_seed(0)
    ).prev_sample.double()
    assert abs(x0) < 1  # not clipped
    assert float(found.mean()) == pytest.approx(mean, abs=4 * np.sqrt(variance / count))
    assert float(found.var()) == pytest.approx(variance, rel=4 * np.sqrt(2 / count))


@pytest.mark.parametrize(("sampler", "rate"), [("ddim", 1.7), ("dpm", 3.0)])
def test_samplers_approach_the_probability_flow_at_their_order(sampler: SamplerName, rate: float) -> None:
    """Masks drawn from N(0.1, 0.2^2) have the flow x_t = sqrt(abar) 0.1 + sqrt(abar 0.2^2 + 1 - abar) z.

    DDIM is of first order, DPM-Solver++ of second: twice the steps halve or quarter the error.
    """
    process = MaskDiffusion("epsilon", "cosine")
    alphas = process.alphas_cumprod().double()

    def predict(x: Tensor, t: Tensor) -> Tensor:
        a = alphas[int(t)]
        return ((1 - a).sqrt() * (x.double() - a.sqrt() * 0.1) / (a * 0.04 + 1 - a)).float()

    noise = starting_noise(noise_generators(0, ROWS, 1), SIZE, SIZE).double()
    last = alphas[-1]
    flow = 0.1 + 0.2 * (noise - last.sqrt() * 0.1) / (last * 0.04 + 1 - last).sqrt()
    errors = [float((draw(predict, process, sampler, steps) - flow).abs().mean()) for steps in (20, 40)]
    assert errors[1] < 0.02
    assert errors[0] / errors[1] > rate


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_estimates_of_ddim_and_ddpm_stay_in_the_masks_range(sampler: SamplerName) -> None:
    process = MaskDiffusion("epsilon", mask_scale=0.2)
    found = draw(lambda x, t: 0.9 * x, process, sampler, 5)
    assert bool(found.abs().max() <= 0.2 + 1e-6) is (sampler != "dpm")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_row_is_drawn_the_same_alone(sampler: SamplerName) -> None:
    process = MaskDiffusion("x0")

    def predict(x: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(x + t / 1000)

    together = draw(predict, process, sampler, 5)
    for row in range(ROWS):
        generators = noise_generators(0, ROWS, 1)[row : row + 1]
        alone = sample(
            predict, make_scheduler(sampler, process), 5, starting_noise(generators, SIZE, SIZE), generators
        )
        torch.testing.assert_close(alone, together[row : row + 1], rtol=0, atol=1e-6)
