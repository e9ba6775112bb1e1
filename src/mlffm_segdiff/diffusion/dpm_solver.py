"""DPM-Solver++, from the optional package diffusers."""

import warnings
from collections.abc import Callable, Sequence

from torch import Tensor

from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.config.schema import SamplerName
from mlffm_segdiff.diffusion.process import MaskDiffusion


def check_sampler(sampler: SamplerName) -> None:
    """Raise UserError if the sampler needs a package that is not installed."""
    if sampler == "dpm":
        with needs_extra("dpm"):
            import diffusers  # noqa: F401


def sample_dpm(
    estimate: Callable[[Tensor, int], Tensor],
    process: MaskDiffusion,
    timesteps: Sequence[int],
    draw_noise: Callable[[], Tensor],
) -> Tensor:
    """Sample scaled masks by DPM-Solver++ of second order (Lu et al. 2022, arXiv:2211.01095).

    Args and result as in `sample`, with the timesteps of `sampling_timesteps`: those that diffusers makes end
    at -1 for some numbers of steps, by rounding. Estimates are not clipped.

    Raises:
        UserError: diffusers is not installed.
    """
    with needs_extra("dpm"):
        from diffusers import DPMSolverMultistepScheduler
    scheduler = DPMSolverMultistepScheduler(
        process.train_steps,
        trained_betas=process.betas().tolist(),
        prediction_type="sample",
        final_sigmas_type="zero",
    )
    with warnings.catch_warnings():  # diffusers converts tensors in a way that NumPy 2 deprecates
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        scheduler.set_timesteps(timesteps=list(timesteps))
    x = draw_noise()
    for t in scheduler.timesteps:
        x = scheduler.step(estimate(x, int(t)), t, x, return_dict=False)[0]
    return x
