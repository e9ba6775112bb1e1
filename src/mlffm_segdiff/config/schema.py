"""What a recipe may say: every key, its type, its range and its default."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from mlffm_segdiff.config.loss_config import LossConfig
from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import NonNegative, Positive, Probability, Section, Seed

NoiseVariance = Annotated[float, Field(gt=0, lt=1)]


class DataConfig(Section):
    """Where the pairs come from.

    sources: data set -> folder with its archives (synthetic needs none); the names are those of
    `mlffm_segdiff.data.table.DATASETS`. mix: data set -> its share of the training draws, which sum to 1; by
    default each image is drawn equally often.
    """

    sources: dict[str, Path | None] = Field(min_length=1)
    mix: dict[str, Probability] | None = None
    split: Path | None = None
    size: PositiveInt = 128
    workers: Annotated[int, Field(ge=0)] = 1
    synthetic_count: PositiveInt = 600

    @model_validator(mode="after")
    def mix_fits_the_sources(self) -> "DataConfig":
        """Refuse shares that do not sum to 1, or of other data sets than the sources."""
        if self.mix is not None:
            if set(self.mix) != set(self.sources):
                raise ValueError(
                    f"mix needs a share for each of {', '.join(sorted(self.sources))}, and no other"
                )
            if abs(sum(self.mix.values()) - 1) > 1e-6:
                raise ValueError(f"the shares of mix sum to {sum(self.mix.values()):g}; make them sum to 1")
        return self


class AugmentConfig(Section):
    """Strengths (affine, colour; 1 as tuned) and probabilities (blur, hair); false or 0 switches one off."""

    flip: bool = True
    affine: NonNegative = 1.0
    colour: NonNegative = 1.0
    blur: Probability = 0.2
    hair: Probability = 0.3


class DiffusionConfig(Section):
    """The forward process and what the network predicts.

    mask_scale: masks are noised at +-mask_scale. noisy_bias: t/T is drawn as u^(1/noisy_bias), so more than 1
    draws more from the noisy end. training: what x_t a training image gets, see ``DiffusionSegmenter``; noise
    objectives need single. noisy_share and noisy_weight are of dual, recycling_shift is of recycling.
    learned_variance, importance_sampling: of Nichol & Dhariwal 2021, for epsilon and v; the first has the
    network give the variance of ddpm's steps too, the second draws t by the losses found there.
    """

    objective: Literal["x0", "epsilon", "v"] = "x0"
    schedule: Literal["cosine", "linear"] = "cosine"
    train_steps: PositiveInt = 1000
    beta_start: NoiseVariance = 1e-4
    beta_end: NoiseVariance = 0.02
    mask_scale: Annotated[float, Field(gt=0, le=1)] = 0.05
    noisy_bias: Positive = 1.0
    self_conditioning: bool = False
    training: Literal["dual", "single", "recycling"] = "dual"
    noisy_share: Probability = 0.5
    noisy_weight: NonNegative = 1.0
    recycling_shift: NonNegative = 2.0
    learned_variance: bool = False
    importance_sampling: bool = False

    @model_validator(mode="after")
    def training_suits_the_objective(self) -> "DiffusionConfig":
        """Refuse other training than ``single`` where the target is noise."""
        if self.training != "single" and self.objective != "x0":
            raise ValueError(f"objective {self.objective} needs diffusion.training=single")
        return self

    @model_validator(mode="after")
    def options_suit_the_process(self) -> "DiffusionConfig":
        """Refuse a learned variance or importance sampling where it has no meaning."""
        for name in ("learned_variance", "importance_sampling"):
            if getattr(self, name) and self.objective == "x0":
                raise ValueError(f"{name} is for noise; take diffusion.objective=epsilon or v")
        if self.importance_sampling and self.noisy_bias != 1:
            raise ValueError("importance_sampling draws t by the losses; leave diffusion.noisy_bias at 1")
        if self.learned_variance and self.train_steps < 2:
            raise ValueError("learned_variance needs diffusion.train_steps of 2 or more")
        return self


class SamplingConfig(Section):
    """How masks are made.

    samples: 0 for the posterior mean in one step, which is the best single mask; otherwise the number of
    masks that are drawn. sampler and steps are those of samples, seed that of the starting noise. mirror: the
    mean over the image and its three mirror images, as in nnU-Net. fusion: how the samples become one
    probability map, their mean or STAPLE of their masks. style: the annotation style, for a model that has
    several. widening: how much more a noisy mask changes the coarse estimate than the network says, of
    objective x0; chosen on validation ids so that the areas of the samples cover the true ones.
    second_look: segment the found lesion again, enlarged, and merge both maps.
    """

    samples: NonNegativeInt = 0
    sampler: Literal["ddim", "ddpm", "dpm"] = "ddim"
    steps: PositiveInt = 4
    seed: int = 0
    mirror: bool = False
    fusion: Literal["mean", "staple"] = "mean"
    style: str = "any"
    widening: NonNegative = 1.0
    second_look: bool = False

    @model_validator(mode="after")
    def staple_needs_samples(self) -> "SamplingConfig":
        """Refuse to fuse one sample."""
        if self.fusion == "staple" and self.samples < 2:
            raise ValueError("fusion staple needs several samples; take samples=2 or more")
        return self

    @model_validator(mode="after")
    def second_look_is_for_the_mean(self) -> "SamplingConfig":
        """Refuse a second look at samples, which would no longer be samples of one map."""
        if self.second_look and self.samples:
            raise ValueError("second_look refines the posterior mean; leave samples at 0")
        return self


class TrainConfig(Section):
    """Optimisation. images, warmup and validate_every count images seen.

    optimizer sgd is nnU-Net's, whose rate falls from the first step on. precision auto is the faster one of
    float32 and bf16, as measured when the run begins. init: weights to start from, a name as for
    ``load_pretrained``. encoder_init: weights of a pretrained encoder to start from where init is not given:
    imagenet, a safetensors file, a hub id, or null for random ones; scratch has none. encoder_rate: the
    learning rate of an encoder with pretrained weights as a share of the others'.
    """

    images: PositiveInt = 60_000
    batch_size: PositiveInt = 16
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 0.02
    warmup: NonNegative = 2_000
    clip: Positive = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    validate_every: PositiveInt = 4_000
    precision: Literal["auto", "float32", "bf16"] = "auto"
    init: str | None = None
    encoder_init: str | None = "imagenet"
    encoder_rate: Positive = 0.3

    @model_validator(mode="after")
    def sgd_has_no_warmup(self) -> "TrainConfig":
        """Refuse a warm-up that would not take place."""
        if self.optimizer == "sgd" and self.warmup:
            raise ValueError("train.optimizer=sgd has no warm-up; set train.warmup=0")
        return self


class Recipe(Section):
    """Everything a run depends on but the code and the data themselves."""

    name: str
    seed: Seed = 0
    data: DataConfig
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig
    diffusion: DiffusionConfig = DiffusionConfig()
    sampling: SamplingConfig = SamplingConfig()
    loss: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def sampler_suits_the_process(self) -> "Recipe":
        """Refuse samplers that draw nothing, and so have no use for a learned variance."""
        if self.diffusion.learned_variance and self.sampling.sampler != "ddpm":
            raise ValueError(
                f"sampling.sampler={self.sampling.sampler} does not use diffusion.learned_variance; take ddpm"
            )
        return self

    @model_validator(mode="after")
    def noise_objectives_sample(self) -> "Recipe":
        """Refuse the posterior mean in one step of a network that predicts noise."""
        if self.diffusion.objective != "x0" and not self.sampling.samples:
            raise ValueError(
                f"objective {self.diffusion.objective} has no mask in one step; "
                "set sampling.samples=1 or more"
            )
        return self

    @model_validator(mode="after")
    def widening_needs_x0(self) -> "Recipe":
        """Refuse a widening of a network that predicts noise: it works on logits of masks."""
        if self.diffusion.objective != "x0" and self.sampling.widening != 1:
            raise ValueError(f"objective {self.diffusion.objective} needs sampling.widening=1")
        return self

    @model_validator(mode="after")
    def steps_fit_the_process(self) -> "Recipe":
        """Refuse to sample in more steps than the process has times, or by DDIM in steps of unequal length.

        diffusers' DDIM assumes steps of train_steps // steps, and leaves noise in x0 where these do not fit.
        """
        if self.sampling.steps > self.diffusion.train_steps:
            raise ValueError(
                f"sampling.steps={self.sampling.steps} is more than diffusion.train_steps="
                f"{self.diffusion.train_steps}; take fewer steps"
            )
        if self.sampling.sampler == "ddim" and self.diffusion.train_steps % self.sampling.steps:
            fitting = max(n for n in range(1, self.sampling.steps) if self.diffusion.train_steps % n == 0)
            raise ValueError(
                f"sampling.steps={self.sampling.steps} does not divide diffusion.train_steps="
                f"{self.diffusion.train_steps}, as ddim needs; take {fitting}, or another sampler"
            )
        return self
