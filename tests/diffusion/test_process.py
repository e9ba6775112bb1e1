import numpy as np
import numpy.typing as npt
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from mlffm_segdiff.diffusion.process import (
    MaskDiffusion,
    Objective,
    Schedule,
    add_noise,
    clean_estimate,
    draw_times,
    velocity,
)

CPU = torch.device("cpu")
SCHEDULES: tuple[Schedule, ...] = ("cosine", "linear")
T = torch.tensor([0, 1, 250, 777, 999])
GENERATOR = torch.Generator().manual_seed(0)
X0 = torch.rand(5, 1, 4, 6, generator=GENERATOR).sub(0.5).sign()
NOISE = torch.randn(5, 1, 4, 6, generator=GENERATOR)


def nichol_dhariwal(steps: int) -> npt.NDArray[np.float64]:
    """Equation 17 with s = 0.008 and betas clipped at 0.999, as in section 3.2."""

    def f(t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(np.cos((t / steps + 0.008) / 1.008 * np.pi / 2) ** 2)

    t = np.arange(1, steps + 1, dtype=np.float64)
    return np.asarray(np.cumprod(1 - np.minimum(1 - f(t) / f(t - 1), 0.999)))


@pytest.mark.parametrize("steps", [10, 250, 1000])
def test_cosine_schedule_is_the_closed_form(steps: int) -> None:
    found = MaskDiffusion(schedule="cosine", train_steps=steps).alphas_cumprod()
    np.testing.assert_allclose(found, nichol_dhariwal(steps), rtol=2e-4)


@pytest.mark.parametrize(("steps", "start", "end"), [(1000, 1e-4, 0.02), (250, 4e-4, 0.08), (1, 0.1, 0.2)])
def test_linear_schedule_is_the_closed_form(steps: int, start: float, end: float) -> None:
    found = MaskDiffusion(
        schedule="linear", train_steps=steps, beta_start=start, beta_end=end
    ).alphas_cumprod()
    np.testing.assert_allclose(found, np.cumprod(1 - np.linspace(start, end, steps)), rtol=2e-4)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_signal_share_falls_from_nearly_one_to_nearly_nothing(schedule: Schedule) -> None:
    alpha_bar = MaskDiffusion(schedule=schedule).alphas_cumprod()
    assert alpha_bar.shape == (1000,)
    assert (alpha_bar.diff() < 0).all()
    assert alpha_bar[0] > 0.999
    assert 0 < alpha_bar[-1] < 1e-4


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_noise_and_velocity_are_diffusers(schedule: Schedule, scale: float) -> None:
    process = MaskDiffusion("v", schedule)
    scheduler = DDPMScheduler(**process.scheduler_settings())
    alpha_bar = process.alphas_cumprod()[T].view(-1, 1, 1, 1)
    x0 = scale * X0
    torch.testing.assert_close(add_noise(x0, NOISE, alpha_bar), scheduler.add_noise(x0, NOISE, T))
    torch.testing.assert_close(velocity(x0, NOISE, alpha_bar), scheduler.get_velocity(x0, NOISE, T))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("objective", ["x0", "epsilon", "v"])
def test_the_clean_estimate_is_diffusers(schedule: Schedule, objective: Objective) -> None:
    process = MaskDiffusion(objective, schedule)
    scheduler = DDIMScheduler(**process.scheduler_settings(), clip_sample=False)
    scheduler.set_timesteps(1000)
    x_t, output = X0 + NOISE, NOISE.flip(0)
    for row, t in enumerate(T):
        alpha_bar = process.alphas_cumprod()[t]
        expected = scheduler.step(output[row], t, x_t[row]).pred_original_sample
        torch.testing.assert_close(clean_estimate(output[row], x_t[row], alpha_bar, objective), expected)


@pytest.mark.parametrize("objective", ["x0", "epsilon", "v"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_clean_estimate_of_a_perfect_output_is_the_mask(objective: Objective, schedule: Schedule) -> None:
    alpha_bar = MaskDiffusion(objective, schedule).alphas_cumprod()[T].view(-1, 1, 1, 1)
    x_t = add_noise(X0, NOISE, alpha_bar)
    output = {"x0": X0, "epsilon": NOISE, "v": velocity(X0, NOISE, alpha_bar)}[objective]
    torch.testing.assert_close(clean_estimate(output, x_t, alpha_bar, objective), X0, rtol=0, atol=5e-3)


@pytest.mark.parametrize("bias", [0.5, 1.0, 2.0, 3.7])
def test_times_follow_a_power_law(bias: float) -> None:
    torch.manual_seed(0)
    steps = 100_000
    t = draw_times(20_000, steps, bias, CPU)
    # t/T = u^(1/bias) is at most x with probability x^bias
    assert kstest(t.numpy() / steps, lambda x: np.clip(x, 0, 1) ** bias).pvalue > 0.01
    assert float((t / steps).mean()) == pytest.approx(bias / (bias + 1), abs=0.01)


def test_every_time_is_drawn_alike_without_bias() -> None:
    torch.manual_seed(0)
    counts = torch.bincount(draw_times(100_000, 10, 1.0, CPU), minlength=10)
    assert len(counts) == 10
    assert ((counts - 10_000).abs() < 5 * 95).all()  # five standard deviations of a binomial


@given(st.integers(1, 50), st.integers(1, 2000), st.floats(1e-3, 1e6))
def test_times_are_in_range(count: int, steps: int, bias: float) -> None:
    t = draw_times(count, steps, bias, CPU)
    assert t.shape == (count,)
    assert t.dtype == torch.int64
    assert 0 <= int(t.min()) <= int(t.max()) < steps
