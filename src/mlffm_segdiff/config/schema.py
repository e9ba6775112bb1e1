"""The schema of recipes: keys, types, ranges and defaults."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

DatasetName = Literal["isic2018", "ham10000", "ph2", "folder", "nnunet", "synthetic"]
Probability = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NoiseVariance = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A section of a recipe; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """Data sets of a run.

    Attributes:
        sources: Folder with the archives of each data set; synthetic needs none.
        mix: Share of each data set in the training draws, which sum to 1; by default each image is drawn
            equally often.
        split: CSV file with columns id and part; by default the data set's own split.
        size: Height and width in pixels of the images that the network sees.
        workers: Worker processes that load training images.
        synthetic_count: Number of synthetic cases.
    """

    sources: dict[DatasetName, Path | None] = Field(min_length=1)
    mix: dict[DatasetName, Probability] | None = None
    split: Path | None = None
    size: PositiveInt = 128
    workers: Annotated[int, Field(ge=0)] = 1
    synthetic_count: PositiveInt = 600

    @model_validator(mode="after")
    def mix_fits_the_sources(self) -> "DataConfig":
        """Require shares that sum to 1, for exactly the sources."""
        if self.mix is not None:
            if set(self.mix) != set(self.sources):
                raise ValueError(
                    f"mix needs a share for each of {', '.join(sorted(self.sources))}, and no others"
                )
            if abs(sum(self.mix.values()) - 1) > 1e-6:
                raise ValueError(f"the shares of mix sum to {sum(self.mix.values()):g}; make them sum to 1")
        return self


class AugmentConfig(Section):
    """Augmentation of training images; see `training_augmentation`.

    Attributes:
        flip: Flips and quarter turns.
        affine: Strength of affine warps; 0 disables them.
        colour: Strength of colour changes; 0 disables them.
        blur: Probability of blur.
        hair: Probability of drawn hair.
    """

    flip: bool = True
    affine: NonNegative = 1.0
    colour: NonNegative = 1.0
    blur: Probability = 0.2
    hair: Probability = 0.3


class ModelConfig(Section):
    """The network: its name in the table of models, and in a section of that model's own, its arguments."""

    name: str


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


class LossConfig(Section):
    """Loss terms. weight: the boundary weight (docs/METHOD.md).

    none: 1. band: 1 + band_gain * band. dermosegdiff: 1 + dermosegdiff_gain * W(t), the hybrid loss of
    Bozorgpour et al. 2023; defaults are those of their configuration for HAM10000.

    cross_entropy, dice, kervadec weigh the terms of an x0 objective or a direct network; noise objectives use
    the weighted squared error alone. batch_dice: Dice over a batch's pixels together, not image by image;
    dice_smooth: what is added above and below its line.
    """

    weight: Literal["none", "band", "dermosegdiff"] = "band"
    band_gain: NonNegative = 2.0
    band_width: Positive = 3.0
    dermosegdiff_gain: NonNegative = 0.25
    dermosegdiff_gamma: Positive = 0.2
    cross_entropy: NonNegative = 1.0
    dice: NonNegative = 1.0
    batch_dice: bool = False
    dice_smooth: Positive = 1.0
    kervadec: NonNegative = 0.0

    @model_validator(mode="after")
    def some_term(self) -> "LossConfig":
        """Refuse a loss of no terms."""
        if not self.cross_entropy + self.dice + self.kervadec:
            raise ValueError("cross_entropy, dice and kervadec are all 0; give one of them a weight")
        return self


class TrainConfig(Section):
    """Optimisation.

    Attributes:
        images: Training images seen in the whole run.
        batch_size: Images per step.
        optimizer: "adamw", or "sgd" as in nnU-Net, whose rate decays from the first step.
        learning_rate: Learning rate.
        weight_decay: Weight decay; AdamW does not apply it to biases and norms.
        warmup: Images seen during the linear warm-up of the learning rate.
        clip: Maximum norm of the gradients.
        ema_decay: Decay of the moving average of the weights.
        validate_every: Images seen between two validations.
        precision: Number format; "auto" is the faster one, measured when the run starts.
        init: Weights to start from: a name as for `load_pretrained`, or the folder of an unfinished run, for
            its best checkpoint so far.
        encoder_init: Weights of a pretrained encoder, if init is null: "imagenet", a safetensors file, a hub
            id, or null for random weights. The encoder "scratch" has none.
        encoder_rate: Learning rate of a pretrained encoder as a share of the others'.
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

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return max(self.images // self.batch_size, 1)

    @property
    def epoch_steps(self) -> int:
        """Optimizer steps between two validations."""
        return max(self.validate_every // self.batch_size, 1)

    @model_validator(mode="after")
    def sgd_has_no_warmup(self) -> "TrainConfig":
        """Require no warm-up for SGD, which has none."""
        if self.optimizer == "sgd" and self.warmup:
            raise ValueError("train.optimizer=sgd has no warm-up; set train.warmup=0")
        return self


class Recipe(Section):
    """Everything a run depends on, except the code and the data."""

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
