"""The section of a recipe for the forward process, the objective and the training step."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlffm_segdiff.config.section import NonNegative, Positive, Probability, Section, Steps

ObjectiveName = Literal["x0", "epsilon", "v"]
ScheduleName = Literal["cosine", "linear"]
NoiseVariance = Annotated[float, Field(ge=1e-6, le=0.999)]
"""beta of a timestep; beyond these limits, 1 - beta is 1 or nearly 0 in float32."""
MIN_LOG_SIGNAL = math.log(2**-126)
"""Logarithm of the least signal share of a timestep: the smallest normal number in float32."""


class DiffusionConfig(Section):
    """The forward process, the objective and the training step (docs/METHOD.md).

    Attributes:
        objective: What the network predicts: the mask, the noise or the velocity.
        schedule: Noise schedule.
        train_steps: Number of timesteps T.
        beta_start: First beta of the linear schedule.
        beta_end: Last beta of the linear schedule.
        mask_scale: Masks are noised at +-mask_scale.
        noisy_bias: Training timesteps are t/T = u^(1/noisy_bias), u uniform; more than 1 favours noise.
        self_conditioning: The network also reads its previous estimate.
        training: How a training image is noised, see `segmenters.training_draws`; the objectives epsilon and
            v need single.
        noisy_share: For dual, the share of the images that get a draw at a random t.
        noisy_weight: For dual, the factor of the loss of that draw.
        recycling_shift: For recycling, the standard deviation of the logits' shift.
    """

    objective: ObjectiveName = "x0"
    schedule: ScheduleName = "cosine"
    train_steps: Steps = 1000
    beta_start: NoiseVariance = 1e-4
    beta_end: NoiseVariance = 0.02
    mask_scale: Annotated[float, Field(gt=0, le=1)] = 0.05
    noisy_bias: Positive = 1.0
    self_conditioning: bool = False
    training: Literal["dual", "single", "recycling"] = "dual"
    noisy_share: Probability = 0.5
    noisy_weight: NonNegative = 1.0
    recycling_shift: NonNegative = 2.0

    @model_validator(mode="after")
    def training_suits_the_objective(self) -> "DiffusionConfig":
        """Refuse other training than ``single`` where the target is noise."""
        if self.training != "single" and self.objective != "x0":
            raise ValueError(f"objective {self.objective} needs diffusion.training=single")
        return self

    @model_validator(mode="after")
    def some_signal_is_left(self) -> "DiffusionConfig":
        """Refuse a linear schedule whose betas fall, or whose signal share at the end is 0 in float32."""
        first, last, steps = self.beta_start, self.beta_end, self.train_steps
        if self.schedule == "linear":
            if first > last:
                raise ValueError(f"beta_start={first:g} is above beta_end={last:g}; swap them")
            rise = (last - first) / max(steps - 1, 1)
            if sum(math.log1p(-first - rise * t) for t in range(steps)) < MIN_LOG_SIGNAL:
                raise ValueError(
                    f"after train_steps={steps} with beta_end={last:g}, no signal is left in float32; "
                    "set a lower beta_end, or fewer train_steps"
                )
        return self
