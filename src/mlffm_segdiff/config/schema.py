"""The schema of recipes: keys, types, ranges and defaults."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from mlffm_segdiff.config.conditions import refuse_options_without_effect
from mlffm_segdiff.config.diffusion_config import DiffusionConfig
from mlffm_segdiff.config.loss_config import LossConfig
from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import (
    LARGEST_SIDE,
    NonNegative,
    Positive,
    Probability,
    Section,
    Seed,
    Spread,
    Steps,
    Strength,
)

SamplerName = Literal["ddim", "ddpm", "dpm"]
FusionName = Literal["mean", "staple"]
Precision = Literal["float32", "bf16"]
PrecisionChoice = Literal["auto", Precision]
RuntimeChoice = Literal["torch", "onnx", "openvino"]
MissingMasks = Literal["error", "empty", "skip"]
"""What to do with images of which a folder has no mask."""
LoggerName = Literal["csv", "tensorboard", "wandb", "mlflow"]
MIN_SHARE = 0.001
"""Resolution of ``data.mix``."""
MAX_IMAGES, MAX_SAMPLES = 10**9, 1024
LARGEST_BATCH = 2**28
"""Pixels of a batch of images, which are 3 GiB in float32."""
Images = Annotated[int, Field(gt=0, le=MAX_IMAGES)]


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

    sources: dict[str, Path | None] = Field(min_length=1)
    mix: dict[str, Probability] | None = None
    split: Path | None = None
    size: Annotated[int, Field(gt=0, le=LARGEST_SIDE)] = 128
    workers: Annotated[int, Field(ge=0, le=256)] = 1
    synthetic_count: Annotated[int, Field(gt=0, le=100_000)] = 600

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
            for name, share in self.mix.items():
                if 0 < share < MIN_SHARE:
                    raise ValueError(
                        f"mix draws in steps of {MIN_SHARE}, so {name}={share:g} would never be drawn; "
                        f"give it 0, or {MIN_SHARE} or more"
                    )
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
    affine: Strength = 1.0
    colour: Strength = 1.0
    blur: Probability = 0.2
    hair: Probability = 0.3


ANY_STYLE = "any"
"""The annotation style of no particular data set."""


class SamplingConfig(Section):
    """How masks are made; direct segmenters read ``mirror`` only.

    Attributes:
        samples: 0 for the posterior mean in one step, the best single mask; otherwise the number of masks to
            sample, which are computed as one batch.
        sampler: How samples are drawn.
        steps: Sampling steps of each sample.
        seed: Seed of the noise.
        mirror: Average over the image and its three mirror images, as nnU-Net does.
        fusion: How samples become one probability map: their mean, or STAPLE of their masks.
        style: Annotation style, for a model with several.
        widening: Factor of the noisy mask's influence on the coarse estimate from the second step on, for
            objective x0 (docs/METHOD.md).
        logit_spread: Standard deviation of the shift of each sample's logits, for how generously people
            outline; chosen on validation ids so that the areas of samples cover the true ones
            (docs/METHOD.md).
        second_look: Segment the found lesion again, enlarged, and merge both maps.
    """

    samples: Annotated[int, Field(ge=0, le=MAX_SAMPLES)] = 0
    sampler: SamplerName = "ddim"
    steps: Steps = 4
    seed: Seed = 0
    mirror: bool = False
    fusion: FusionName = "mean"
    style: str = ANY_STYLE
    widening: Spread = 1.0
    logit_spread: Spread = 0.0
    second_look: bool = False

    @model_validator(mode="after")
    def staple_needs_samples(self) -> "SamplingConfig":
        """Refuse to fuse one sample."""
        if self.fusion == "staple" and self.samples < 2:
            raise ValueError("fusion staple needs several samples; set samples=2 or more")
        return self

    @model_validator(mode="after")
    def second_look_is_for_the_mean(self) -> "SamplingConfig":
        """Refuse a second look at samples, which would no longer be samples of one map."""
        if self.second_look and self.samples:
            raise ValueError("second_look refines the posterior mean; leave samples at 0")
        return self


class TrainConfig(Section):
    """Optimisation.

    Attributes:
        images: Training images seen in the whole run, in whole batches, at least one.
        batch_size: Images per step, of all devices together.
        optimizer: "adamw", or "sgd" as in nnU-Net, whose rate decays from the first step.
        learning_rate: Learning rate.
        weight_decay: Weight decay; AdamW does not apply it to biases and norms.
        warmup: Images seen during the linear warm-up of the learning rate.
        clip: Maximum norm of the gradients.
        ema_decay: Decay of the moving average of the weights.
        validate_every: Images seen between two validations.
        precision: Number format; "auto" is the faster one, measured when the run starts.
        logger: Logs to write, one or several; the CSV file, which has the learning curve, is always written.
        devices: Number of devices to train on, of each machine.
        nodes: Number of machines.
        init: Weights to start from: a name as for `load_pretrained`, or the folder of an unfinished run, for
            its best checkpoint so far.
        encoder_init: Weights of a pretrained encoder, if init is null: "imagenet", a safetensors file, a hub
            id, or null for random weights. The encoder "scratch" has none.
        encoder_rate: Learning rate of a pretrained encoder as a share of the others'.
    """

    images: Images = 60_000
    batch_size: Annotated[int, Field(gt=0, le=4096)] = 16
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-3
    weight_decay: NonNegative = 0.02
    warmup: NonNegative = 2_000
    clip: Positive = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    validate_every: Images = 4_000
    precision: PrecisionChoice = "auto"
    logger: tuple[LoggerName, ...] = ("csv", "tensorboard")
    devices: Annotated[int, Field(ge=1, le=1024)] = 1
    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    init: str | None = None
    encoder_init: str | None = "imagenet"
    encoder_rate: Positive = 0.3

    @property
    def processes(self) -> int:
        """Number of processes, one for each device."""
        return self.devices * self.nodes

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return max(self.images // self.batch_size, 1)

    @property
    def epoch_steps(self) -> int:
        """Optimizer steps between two validations."""
        return max(self.validate_every // self.batch_size, 1)

    @field_validator("logger", mode="before")
    @classmethod
    def one_or_several_loggers(cls, given: object) -> object:
        """Accept one name as a list of one, and names in any case."""
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, list | tuple):
            return given
        lower = [name.lower() if isinstance(name, str) else name for name in names]
        return [name for place, name in enumerate(lower) if name not in lower[:place]]

    @model_validator(mode="after")
    def devices_share_a_batch(self) -> "TrainConfig":
        """Require a batch that divides evenly among the devices."""
        if self.batch_size % self.processes:
            raise ValueError(f"batch_size={self.batch_size}: make it a multiple of {self.processes} devices")
        return self

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
    def noise_objectives_sample(self) -> "Recipe":
        """Refuse the posterior mean in one step of a network that predicts noise."""
        if self.diffusion.objective != "x0" and not self.sampling.samples:
            raise ValueError(
                f"objective {self.diffusion.objective} has no mask in one step; "
                "set sampling.samples=1 or more"
            )
        return self

    @model_validator(mode="after")
    def steps_fit_the_process(self) -> "Recipe":
        """Refuse more sampling steps than the process has timesteps."""
        if self.sampling.samples and self.sampling.steps > self.diffusion.train_steps:
            raise ValueError(
                f"sampling.steps={self.sampling.steps} is more than diffusion.train_steps="
                f"{self.diffusion.train_steps}; set fewer steps"
            )
        return self

    @model_validator(mode="after")
    def a_batch_fits_memory(self) -> "Recipe":
        """Refuse batches whose images fill the memory of most machines by themselves."""
        batch, size = self.train.batch_size, self.data.size
        if batch * size**2 > LARGEST_BATCH:
            raise ValueError(
                f"a batch of train.batch_size={batch} images of data.size={size} is too large for memory; "
                f"set train.batch_size={LARGEST_BATCH // size**2} or less, or a smaller data.size"
            )
        return self

    @model_validator(mode="after")
    def every_device_conditions_a_row(self) -> "Recipe":
        """Refuse self-conditioning with one image per device.

        The processes that condition no row would skip a pass in which the others gather statistics.
        """
        alone = 1 < self.train.processes == self.train.batch_size
        if self.diffusion.self_conditioning and alone:
            raise ValueError(
                "diffusion.self_conditioning=True needs two images per device; set "
                f"train.batch_size={2 * self.train.processes} or more"
            )
        return self

    @model_validator(mode="after")
    def every_option_has_an_effect(self) -> "Recipe":
        """Refuse a changed option that the rest of the recipe ignores."""
        refuse_options_without_effect(self)
        return self
