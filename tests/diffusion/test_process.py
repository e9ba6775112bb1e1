import numpy as np
import numpy.typing as npt
import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from mlffm_segdiff.config.diffusion_config import ScheduleName
from mlffm_segdiff.diffusion.process import MaskDiffusion, add_noise, sample_timesteps, velocity

SCHEDULES: dict[ScheduleName, str] = {"cosine": "squaredcos_cap_v2", "linear": "linear"}
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
    found = MaskDiffusion("cosine", steps).alpha_bar
    np.testing.assert_allclose(found, nichol_dhariwal(steps), rtol=2e-4)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown schedule 'Linear'; give 'cosine' or 'linear'"):
        MaskDiffusion(schedule="Linear").betas()


@pytest.mark.parametrize(("steps", "start", "end"), [(1000, 1e-4, 0.02), (250, 4e-4, 0.08), (1, 0.1, 0.2)])
def test_linear_schedule_is_the_closed_form(steps: int, start: float, end: float) -> None:
    found = MaskDiffusion("linear", steps, start, end).alpha_bar
    np.testing.assert_allclose(found, np.cumprod(1 - np.linspace(start, end, steps)), rtol=2e-4)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("steps", "start", "end"), [(1000, 1e-4, 0.02), (250, 4e-4, 0.08), (7, 0.1, 0.2)])
def test_schedules_are_those_of_diffusers(
    schedule: ScheduleName, steps: int, start: float, end: float
) -> None:
    process = MaskDiffusion(schedule, steps, start, end)
    theirs = DDPMScheduler(steps, start, end, SCHEDULES[schedule])
    assert torch.equal(process.betas(), theirs.betas)
    assert torch.equal(process.alpha_bar, theirs.alphas_cumprod)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_signal_share_falls_from_nearly_one_to_nearly_nothing(schedule: ScheduleName) -> None:
    alpha_bar = MaskDiffusion(schedule).alpha_bar
    assert alpha_bar.shape == (1000,)
    assert (alpha_bar.diff() < 0).all()
    assert alpha_bar[0] > 0.999
    assert 0 < alpha_bar[-1] < 1e-4


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_noise_and_velocity_are_diffusers(schedule: ScheduleName, scale: float) -> None:
    scheduler = DDPMScheduler(beta_schedule=SCHEDULES[schedule])
    alpha_bar = MaskDiffusion(schedule).alpha_bar[T].view(-1, 1, 1, 1)
    x0 = scale * X0
    torch.testing.assert_close(add_noise(x0, NOISE, alpha_bar), scheduler.add_noise(x0, NOISE, T))
    torch.testing.assert_close(velocity(x0, NOISE, alpha_bar), scheduler.get_velocity(x0, NOISE, T))


@pytest.mark.parametrize("bias", [0.5, 1.0, 2.0, 3.7])
def test_timesteps_follow_a_power_law(bias: float) -> None:
    torch.manual_seed(0)
    steps = 100_000
    t = sample_timesteps(20_000, steps, bias)
    # t/T = u^(1/bias) is at most x with probability x^bias
    assert kstest(t.numpy() / steps, lambda x: np.clip(x, 0, 1) ** bias).pvalue > 0.01
    assert float((t / steps).mean()) == pytest.approx(bias / (bias + 1), abs=0.01)


def test_every_timestep_is_equally_likely_without_bias() -> None:
    torch.manual_seed(0)
    counts = torch.bincount(sample_timesteps(100_000, 10), minlength=10)
    assert len(counts) == 10
    assert ((counts - 10_000).abs() < 5 * 95).all()  # five standard deviations of a binomial


@given(st.integers(1, 50), st.integers(1, 2000), st.floats(1e-3, 1e6))
def test_timesteps_are_in_range(count: int, steps: int, bias: float) -> None:
    t = sample_timesteps(count, steps, bias)
    assert t.shape == (count,)
    assert t.dtype == torch.int64
    assert 0 <= int(t.min()) <= int(t.max()) < steps
