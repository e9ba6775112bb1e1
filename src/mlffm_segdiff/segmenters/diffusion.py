"""A denoising network, its forward process and its objective as one segmenter."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import ANY_STYLE, SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.diffusion.fusion import fuse
from mlffm_segdiff.diffusion.noise import HeldNoise, NoiseSource, noise_stream, sample_levels
from mlffm_segdiff.diffusion.process import MaskDiffusion, sample_timesteps
from mlffm_segdiff.diffusion.sampler import Estimate, sample
from mlffm_segdiff.losses.boundary_weight import BoundaryWeight
from mlffm_segdiff.segmenters.base import MIRRORS, BaseSegmenter, Graph, Part, Segmentation
from mlffm_segdiff.segmenters.denoiser_parts import GraphDenoiser, denoiser_parts
from mlffm_segdiff.segmenters.gradients import without_gradients
from mlffm_segdiff.segmenters.image_features import pool_features
from mlffm_segdiff.segmenters.interruption import stop_if_unwanted
from mlffm_segdiff.segmenters.objectives import Objective
from mlffm_segdiff.segmenters.training_draws import TrainingDraws


class Denoiser(Protocol):
    """The contract of a denoising network (ARCHITECTURE.md)."""

    total_stride: int

    def encode(self, image: Tensor, style: Tensor = ...) -> list[Tensor]:
        """Map an image (B3HW) to features, each with B rows.

        style: B, 0 for any and 1 + n for ``styles[n]``; only for a network with the attribute ``styles``.
        """

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map a noisy mask (B1HW, or B2HW with self-conditioning), timesteps (B) and features to B1HW."""


EPSILON = 1e-6
"""Probabilities are clamped to at least this, and at most 1 minus this, for their logit."""
STYLE_DROP = 0.25
"""Share of training images whose annotation style is withheld, which trains the style ``any``."""


class DiffusionSegmenter(BaseSegmenter):
    """Trains a denoiser on noised masks and segments with it; each image is encoded once.

    Args:
        network: The denoiser, see `Denoiser`.
        process: The forward process.
        objective: Prediction target of the network: `X0`, `Epsilon` or `V`.
        weight: Boundary weight of the loss.
        draws: The training step: `Single`, `Dual` or `Recycling`.
        noisy_bias: Bias of training timesteps towards noise, see `diffusion.process.sample_timesteps`.
        self_conditioning: The network also reads its previous estimate (Chen et al. 2022, arXiv:2208.04202).
    """

    alpha_bar: Tensor

    def __init__(
        self,
        network: nn.Module,
        process: MaskDiffusion,
        objective: Objective,
        weight: BoundaryWeight,
        draws: TrainingDraws,
        noisy_bias: float = 1.0,
        self_conditioning: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.objective = objective
        self.weight = weight
        self.draws = draws
        self.noisy_bias = noisy_bias
        self.self_conditioning = self_conditioning
        self.noise: NoiseSource = noise_stream
        self.register_buffer("alpha_bar", process.alpha_bar, persistent=False)

    @property
    def total_stride(self) -> int:
        """The divisor of valid image heights and widths."""
        return self._denoiser.total_stride

    @property
    def styles(self) -> tuple[str, ...]:
        """The annotation styles to choose from."""
        return tuple(getattr(self.network, "styles", ()))

    @property
    def _denoiser(self) -> Denoiser:
        return self.network  # type: ignore[return-value]

    def loss(self, batch: Batch) -> Tensor:
        """Compute the loss of a batch, a scalar; see `segmenters.training_draws` for the step itself."""
        styles = self._style_numbers(batch.styles or [""] * len(batch.image), batch.image.device)
        if self.styles:
            chance = torch.rand(len(styles) * batch.replica.world_size, device=styles.device)
            styles = styles.masked_fill(batch.replica.of(chance) < STYLE_DROP, 0)
        return self.draws.loss(self, batch, self._encode(batch.image, styles))

    def sample_timesteps(self, count: int) -> Tensor:
        """Sample training timesteps (int64, on the segmenter's device) from torch's global generator."""
        return sample_timesteps(count, self.process.train_steps, self.noisy_bias, self.alpha_bar.device)

    def last_timestep(self, count: int) -> Tensor:
        """Return the timestep of pure noise, T - 1, once per row."""
        return torch.full((count,), self.process.train_steps - 1, device=self.alpha_bar.device)

    def alpha_bar_at(self, t: Tensor) -> Tensor:
        """Return the signal share at timesteps (B), B111."""
        return self.alpha_bar[t].view(-1, 1, 1, 1)

    def denoise(
        self, x_t: Tensor, t: Tensor, features: Sequence[Tensor], previous: Tensor | None = None
    ) -> Tensor:
        """Run the network on x_t scaled to unit variance.

        Args:
            x_t: Noised masks, B1HW.
            t: Timesteps, B.
            features: Image features of `encode`, each with B rows.
            previous: Previous estimate of x_0 for self-conditioning, B1HW; zeros by default.

        Returns:
            The network's output, B1HW; see `Objective`.
        """
        alpha_bar = self.alpha_bar_at(t)
        inputs = x_t / (alpha_bar * self.process.mask_scale**2 + 1 - alpha_bar).sqrt()
        if self.self_conditioning:
            known = torch.zeros_like(x_t) if previous is None else previous / self.process.mask_scale
            inputs = torch.cat([inputs, known], dim=1)
        return self._denoiser.denoise(inputs, t, features)

    def denoise_in_training(
        self, x_t: Tensor, t: Tensor, features: Sequence[Tensor], conditioned: Tensor
    ) -> Tensor:
        """Run `denoise`; with self-conditioning, rows that are ``conditioned`` (B) read its own estimate.

        Chen et al. 2022 (arXiv:2208.04202) condition half of the rows.
        """
        if not self.self_conditioning:
            return self.denoise(x_t, t, features)
        previous, half = torch.zeros_like(x_t), conditioned.to(x_t.device)
        if half.any():
            with without_gradients():
                output = self.denoise(x_t[half], t[half], [f[half].detach() for f in features])
                x0 = self.objective.x0(output.to(x_t.dtype), x_t[half], self.alpha_bar_at(t[half]))
            previous[half] = self._clipped(x0)
        return self.denoise(x_t, t, features, previous)

    def _clipped(self, x0: Tensor) -> Tensor:
        return x0.clamp(-self.process.mask_scale, self.process.mask_scale)

    @torch.inference_mode()
    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        """Segment images by the posterior mean in one step, or by samples and their fusion.

        Each image is encoded once (with ``mirror``, once for each of `MIRRORS`). Its samples share these
        features and run as one batch. Noise depends only on the seed and the number of the sample.

        Args:
            image: B3HW in [-1, 1].
            sampling: See `SamplingConfig`.

        Returns:
            Probability and spread, B1HW, the samples, NB1HW, and the features of the images, BxD.

        Raises:
            UserError: The network has no such annotation style.
        """
        if sampling.style not in (ANY_STYLE, *self.styles):
            known = ", ".join((ANY_STYLE, *self.styles))
            raise UserError(f"no annotation style {sampling.style!r}; choose one of {known}")
        style = self._style_numbers([sampling.style], image.device).expand(image.shape[0])
        axes_of = MIRRORS if sampling.mirror else MIRRORS[:1]
        maps, pooled = [], None
        for axes in axes_of:
            features = self._encode(image.flip(axes), style)
            if pooled is None:
                pooled = pool_features(features, image.shape[-2])
            maps.append(self._draw(features, image.shape, sampling, axes))
        drawn = torch.stack(maps).mean(0)
        if not sampling.samples:
            return Segmentation(drawn[0], torch.zeros_like(drawn[0]), features=pooled)
        several = sampling.samples > 1
        spread = drawn.std(dim=0, correction=0) if several else torch.zeros_like(drawn[0])
        return Segmentation(fuse(drawn, sampling.fusion), spread, drawn, pooled)

    def _draw(
        self, encoded: Sequence[Tensor], shape: torch.Size, sampling: SamplingConfig, axes: tuple[int, ...]
    ) -> Tensor:
        """Return samples (NB1HW in [0, 1]); the posterior mean as one sample if none are requested.

        The encoded images, of shape B3HW, were flipped along the axes; the result is flipped back. All noise
        of samples is flipped too, so that averaging over mirror images does not bring samples closer.
        """
        samples, steps = max(sampling.samples, 1), sampling.steps if sampling.samples else 1
        batch, _, height, width = shape
        features = [repeat_rows(f, samples) for f in encoded]
        stream = self.noise(sampling.seed, samples, height, width)
        flipped = axes if sampling.samples else ()

        def noise() -> Tensor:
            rows = next(stream).unsqueeze(1).expand(-1, batch, -1, -1, -1).flatten(0, 1)
            return rows.to(self.alpha_bar.device).flip(flipped)

        estimate = self._estimator(features, sampling.widening)
        x0 = sample(estimate, self.process, sampling.sampler, steps, noise)
        drawn = (x0 / self.process.mask_scale + 1).div(2).clamp(0, 1)
        drawn = drawn.view(samples, batch, *drawn.shape[1:]).flip(axes)
        if sampling.samples and sampling.logit_spread:
            levels = torch.tensor(sample_levels(sampling.seed, samples), device=drawn.device)
            shift = sampling.logit_spread * levels.view(-1, 1, 1, 1, 1)
            drawn = torch.sigmoid(torch.logit(drawn, EPSILON) + shift)
        return drawn

    def _estimator(self, features: Sequence[Tensor], widening: float) -> Estimate:
        """Return the network's estimate of x_0, with self-conditioning and widening from step to step.

        With a ``widening`` w other than 1, each step after the first uses the logit
        l_t + (w - 1) C(l_t - l_T), where l_T is that of the first step and C is `coarse`: the guidance of
        Ho & Salimans (2022, arXiv:2207.12598, eq. 6) with the noisy mask as the condition, applied to coarse
        structure only.
        """
        previous: Tensor | None = None
        first: Tensor | None = None

        def estimate(x_t: Tensor, t: int) -> Tensor:
            nonlocal previous, first
            stop_if_unwanted()
            times = torch.full((x_t.shape[0],), t, device=x_t.device)
            output = self.denoise(x_t, times, features, previous).float()
            if first is None:
                first = output
            elif widening != 1:
                output = output + (widening - 1) * coarse(output - first)
            x0 = self.objective.x0(output, x_t, self.alpha_bar_at(times))
            previous = self._clipped(x0)
            return x0

        return estimate

    def _encode(self, image: Tensor, styles: Tensor) -> list[Tensor]:
        return self._denoiser.encode(image, styles) if self.styles else self._denoiser.encode(image)

    def _style_numbers(self, names: Sequence[str], device: torch.device) -> Tensor:
        """Return each name's number: 1 + n for ``styles[n]``, 0 for any other."""
        numbers = {name: number for number, name in enumerate(self.styles, 1)}
        return torch.tensor([numbers.get(name, 0) for name in names], device=device)

    @torch.no_grad()
    def parts(self, image: Tensor) -> dict[str, Part]:
        """Return the parts ``encoder`` and ``denoiser``; see `BaseSegmenter.parts`."""
        inputs = {"image": image}
        if self.styles:
            inputs["style"] = torch.zeros(len(image), dtype=torch.int64, device=image.device)
        features = self._denoiser.encode(*inputs.values())
        noisy_mask = image[:, : 2 if self.self_conditioning else 1].clone()  # no view of another input
        return denoiser_parts(self.network, inputs, noisy_mask, self.last_timestep(len(image)), features)

    def hold_noise(self) -> None:
        """Draw the noise of each sampling once; see `BaseSegmenter.hold_noise`."""
        self.noise = HeldNoise()

    def run_on(self, graphs: Mapping[str, Graph]) -> None:
        """Replace the network by the graphs ``encoder`` and ``denoiser``."""
        self.network = GraphDenoiser(graphs["encoder"], graphs["denoiser"], self.total_stride, self.styles)


def coarse(x: Tensor) -> Tensor:
    """Average x (BCHW) over squares of a quarter of its sides, bilinear at its own size."""
    height, width = x.shape[2:]
    averaged = F.avg_pool2d(x, (max(height // 4, 1), max(width // 4, 1)))
    return F.interpolate(averaged, (height, width), mode="bilinear", align_corners=False)


def repeat_rows(features: Tensor, samples: int) -> Tensor:
    """Repeat the rows of features (B ...) once for each sample: samples*B rows, sample by sample.

    A single row is expanded, not copied. (``len`` would fix the batch in a trace.)
    """
    if features.shape[0] == 1:
        return features.expand(samples, *features.shape[1:])
    return torch.cat([features] * samples)
