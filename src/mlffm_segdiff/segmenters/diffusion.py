"""A denoiser, its diffusion process and its loss as one segmenter."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.diffusion.fusion import fuse
from mlffm_segdiff.diffusion.noise import noise_generators, starting_noise
from mlffm_segdiff.diffusion.process import MaskDiffusion, add_noise, clean_estimate, velocity
from mlffm_segdiff.diffusion.reverse_step import ReverseStep
from mlffm_segdiff.diffusion.sampler import Predict, make_scheduler, sample
from mlffm_segdiff.diffusion.times import PowerLawTimes, TimeSampler
from mlffm_segdiff.diffusion.variational_bound import BOUND_SHARE, bound_term
from mlffm_segdiff.losses.boundary_weight import BoundaryWeight
from mlffm_segdiff.losses.mask_loss import MaskLoss
from mlffm_segdiff.losses.region import weighted_squared_error
from mlffm_segdiff.segmenters.base import MIRRORS, Graph, Part, Sampling, Segmentation, Segmenter
from mlffm_segdiff.segmenters.denoiser_parts import GraphDenoiser, denoiser_parts


class Denoiser(Protocol):
    """The contract of a denoising network (ARCHITECTURE.md)."""

    total_stride: int

    def encode(self, image: Tensor, style: Tensor = ...) -> list[Tensor]:
        """Map an image (B3HW) to features, each with B rows.

        style: B, 0 for any and 1 + n for ``styles[n]``; only of a network that has the attribute ``styles``.
        """

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map a noisy mask (B C H W), times (B) and features to a logit or noise (B1HW).

        A process with a learned variance takes a second channel for it.
        """


Training = Literal["dual", "single", "recycling"]
STYLE_DROP = 0.25
"""The share of training images whose annotation style is withheld, so that ``any`` is learned too."""


class DiffusionSegmenter(Segmenter):
    """Trains a denoiser on noised masks and segments with it; each image is encoded once.

    Args:
        network: The denoiser.
        process: The forward process.
        loss: The loss of a logit, for objective x0.
        weight: The boundary weight.
        times: Draws training timesteps; by default all are equally likely.
        self_conditioning: The network also reads its last estimate (Chen et al. 2022).
        training: What x_t a training image gets.

            - ``dual``: one draw at t = T, where the target is the posterior mean, trained as a direct network
              is; and, for the first ``noisy_share`` of the batch, one at t < T from the true mask with
              cross-entropy, a proper scoring rule, so that sampling draws from p(mask | image).
            - ``single``: one draw at a random timestep from the true mask (Ho et al. 2020).
            - ``recycling``: x_t is made from the network's own estimate at t = T, and the target is the true
              mask (Fu et al. 2023, arXiv:2308.16355). Such an x_t holds no information on the mask, so
              samples hardly differ.
        noisy_share: Of ``dual``, in [0, 1].
        noisy_weight: Of ``dual``, the factor of the loss at t < T.
        recycling_shift: Of ``recycling``, the standard deviation of a shift of the estimate's logits, one
            draw an image. A heuristic of ours: it makes the estimate too large or too small where the network
            is in doubt, as errors do that grow from step to step.
    """

    def __init__(
        self,
        network: nn.Module,
        process: MaskDiffusion,
        loss: MaskLoss,
        weight: BoundaryWeight,
        times: TimeSampler | None = None,
        self_conditioning: bool = False,
        training: Training = "single",
        noisy_share: float = 0.5,
        noisy_weight: float = 1.0,
        recycling_shift: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.region_loss = loss
        self.weight = weight
        self.times = times if times is not None else PowerLawTimes(process.train_steps)
        self.self_conditioning = self_conditioning
        self.draws = training
        self.noisy_share = noisy_share
        self.noisy_weight = noisy_weight
        self.recycling_shift = recycling_shift
        self.register_buffer("alpha_bar", process.alphas_cumprod(), persistent=False)
        self.reverse_step = ReverseStep(process) if process.learned_variance else None

    @property
    def total_stride(self) -> int:
        """The number that height and width of an image must be multiples of."""
        return self._denoiser.total_stride

    @property
    def _denoiser(self) -> Denoiser:
        return self.network  # type: ignore[return-value]

    @property
    def styles(self) -> tuple[str, ...]:
        """The annotation styles that can be asked for."""
        return tuple(getattr(self.network, "styles", ()))

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch at random timesteps, a scalar; draws from torch's global generator."""
        features = self._encode_for_training(batch)
        if self.draws == "dual":
            return self._dual_loss(batch, features)
        t, share = self.times.draw(len(batch.mask), batch.mask.device)
        alpha_bar = self._alpha_bar_at(t)
        noise = torch.randn_like(batch.mask)
        x0 = self.process.mask_scale * batch.mask
        x_t = add_noise(self._recycled(x0, features) if self.draws == "recycling" else x0, noise, alpha_bar)
        output = self._run(x_t, t, features, self._condition(x_t, t, features))
        weight = self.weight(batch.distance, alpha_bar.flatten(), t / self.process.train_steps)
        if self.process.objective == "x0":
            loss: Tensor = self.region_loss(output, batch.mask, batch.distance, weight)
            return loss
        target = noise if self.process.objective == "epsilon" else velocity(x0, noise, alpha_bar)
        losses = weighted_squared_error(output[:, :1], target, weight)
        if self.reverse_step is not None:
            bound = self.process.train_steps * self._bound_term(self.reverse_step, x0, x_t, output, t)
            losses = losses + BOUND_SHARE * bound
        self.times.observe(t, losses.detach())
        return (share * losses).mean()

    def _encode_for_training(self, batch: Batch) -> list[Tensor]:
        if not self.styles:
            return self._denoiser.encode(batch.image)
        names = batch.styles or [""] * len(batch.image)
        style = torch.tensor([self._style_number(name) for name in names], device=batch.image.device)
        dropped = torch.rand(len(style), device=style.device) < STYLE_DROP
        return self._denoiser.encode(batch.image, style.masked_fill(dropped, 0))

    def _style_number(self, name: str) -> int:
        return 1 + self.styles.index(name) if name in self.styles else 0

    def _dual_loss(self, batch: Batch, features: Sequence[Tensor]) -> Tensor:
        """Return the loss at t = T plus that at t < T, whose draws run as one batch on the same features."""
        count = len(batch.mask)
        noisy = math.ceil(self.noisy_share * count)
        early, share = self.times.draw(noisy, batch.mask.device)
        x0 = self.process.mask_scale * batch.mask[:noisy]
        x_t = torch.cat(
            [
                torch.randn_like(batch.mask),
                add_noise(x0, torch.randn_like(x0), self._alpha_bar_at(early)),
            ]
        )
        t = torch.cat([early.new_full((count,), self.process.train_steps - 1), early])
        rows = [torch.cat([f, f[:noisy]]) for f in features]
        output = self._run(x_t, t, rows, self._condition(x_t, t, rows))
        ones = batch.mask.new_ones(count)
        weight = self.weight(batch.distance, ones, torch.zeros_like(ones))
        loss: Tensor = self.region_loss(output[:count], batch.mask, batch.distance, weight)
        if noisy:
            target = (batch.mask[:noisy] > 0).float()
            entropy = F.binary_cross_entropy_with_logits(output[count:].float(), target, reduction="none")
            losses = entropy.flatten(1).mean(dim=1)
            self.times.observe(early, losses.detach())
            loss = loss + self.noisy_weight * (share * losses).mean()
        return loss

    def _bound_term(self, step: ReverseStep, x0: Tensor, x_t: Tensor, output: Tensor, t: Tensor) -> Tensor:
        answer, variance = output.float().chunk(2, dim=1)
        estimate = clean_estimate(answer, x_t, self._alpha_bar_at(t), self.process.objective)
        return bound_term(step, x0, x_t, estimate, variance, t)

    def training_state(self) -> dict[str, Tensor]:
        """Return what the sampler of times has learned."""
        return self.times.state()

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``training_state`` returned."""
        self.times.load_state(state)

    @torch.inference_mode()
    def segment(self, image: Tensor, sampling: Sampling) -> Segmentation:
        """Segment images (B3HW in [-1, 1]): the posterior mean in one step, or samples and their fusion.

        Each image is encoded once (with ``mirror``, once for each of `MIRRORS`). Its samples share these
        features and run as one batch. Starting noise depends on the seed and the sample's number only.

        With a ``widening`` w other than 1, each step after the first uses the logit
        l_t + (w - 1) C(l_t - l_T), where l_T is the posterior mean's and C averages over a quarter of the
        image's side. It is the guidance of Ho & Salimans (2022, arXiv:2207.12598, eq. 6) with the noisy mask
        as the condition, applied to coarse structure only: w > 1 spreads the samples where the network leans
        too much on its first estimate.
        """
        axes_of = MIRRORS if sampling.mirror else MIRRORS[:1]
        drawn = torch.stack([self._draw(image, sampling, axes) for axes in axes_of]).mean(0)
        if not sampling.samples:
            return Segmentation(drawn[0], torch.zeros_like(drawn[0]))
        several = sampling.samples > 1
        spread = drawn.std(dim=0, correction=0) if several else torch.zeros_like(drawn[0])
        return Segmentation(fuse(drawn, sampling.fusion), spread, drawn)

    def _draw(self, image: Tensor, sampling: Sampling, axes: tuple[int, ...]) -> Tensor:
        """Return samples (NB1HW in [0, 1]); where none are asked for, the posterior mean as one.

        axes: The image is flipped along these, and the result flipped back. The starting noise of samples is
            flipped too, so that averaging over mirror images does not bring samples closer together.
        """
        samples, steps = max(sampling.samples, 1), sampling.steps if sampling.samples else 1
        features = [repeat_rows(f, samples) for f in self._encode(image.flip(axes), sampling.style)]
        generators = noise_generators(sampling.seed, samples, len(image))
        noise = starting_noise(generators, image.shape[2], image.shape[3]).to(image.device)
        noise = noise.flip(axes) if sampling.samples else noise
        scheduler = make_scheduler(sampling.sampler, self.process)
        x0 = sample(self._predictor(features, noise, sampling.widening), scheduler, steps, noise, generators)
        drawn = (x0 / self.process.mask_scale + 1).div(2).clamp(0, 1)
        return drawn.view(samples, len(image), *drawn.shape[1:]).flip(axes)

    def _encode(self, image: Tensor, style: str) -> list[Tensor]:
        if not self.styles:
            return self._denoiser.encode(image)
        numbers = torch.full((len(image),), self._style_number(style), device=image.device)
        return self._denoiser.encode(image, numbers)

    def _predictor(self, features: Sequence[Tensor], noise: Tensor, widening: float) -> Predict:
        last, first = torch.zeros_like(noise), None

        def predict(x: Tensor, t: Tensor) -> Tensor:
            nonlocal last, first
            times = t.to(x.device).expand(len(x))
            output = self._run(x, times, features, last).float()
            if first is None:
                first = output
            elif widening != 1:
                output = output + (widening - 1) * coarse(output - first)
            last = self._estimate(output, x, times)
            return last if self.process.objective == "x0" else output

        return predict

    def _run(self, x_t: Tensor, t: Tensor, features: Sequence[Tensor], last: Tensor) -> Tensor:
        alpha_bar = self._alpha_bar_at(t)
        spread = (alpha_bar * self.process.mask_scale**2 + 1 - alpha_bar).sqrt()
        inputs = [x_t / spread]
        if self.self_conditioning:
            inputs.append(last / self.process.mask_scale)
        return self._denoiser.denoise(torch.cat(inputs, dim=1), t, features)

    def _estimate(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        scale, output = self.process.mask_scale, output[:, :1]
        if self.process.objective == "x0":
            return scale * torch.tanh(output / 2)
        return clean_estimate(output, x_t, self._alpha_bar_at(t), self.process.objective).clamp(-scale, scale)

    def _recycled(self, x0: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Return the network's own estimate of x0 (B1HW) at t = T, its logits shifted."""
        with torch.no_grad():
            noise = torch.randn_like(x0)
            t = torch.full((len(x0),), self.process.train_steps - 1, device=x0.device)
            output = self._run(noise, t, [f.detach() for f in features], torch.zeros_like(noise))
            shift = self.recycling_shift * torch.randn(len(x0), 1, 1, 1, device=x0.device)
            return self._estimate(output + shift, noise, t)

    def _condition(self, x_t: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Return the estimate that self-conditioning reads: the network's own for half the batch, else 0."""
        last = torch.zeros_like(x_t)
        if self.self_conditioning:
            half = len(x_t) // 2
            with torch.no_grad():
                output = self._run(x_t[half:], t[half:], [f[half:].detach() for f in features], last[half:])
                last[half:] = self._estimate(output, x_t[half:], t[half:])
        return last

    def _alpha_bar_at(self, t: Tensor) -> Tensor:
        table: Tensor = self.alpha_bar  # type: ignore[assignment]
        return table[t].view(-1, 1, 1, 1)

    @torch.no_grad()
    def parts(self, image: Tensor) -> dict[str, Part]:
        """Return the parts ``encoder`` and ``denoiser``."""
        inputs = {"image": image}
        if self.styles:
            inputs["style"] = torch.zeros(len(image), dtype=torch.int64, device=image.device)
        features = self._denoiser.encode(*inputs.values())
        noisy_mask = image[:, : 2 if self.self_conditioning else 1].clone()  # no view of another input
        t = torch.full((len(image),), self.process.train_steps - 1, device=image.device)
        return denoiser_parts(self.network, inputs, noisy_mask, t, features)

    def run_on(self, graphs: Mapping[str, Graph]) -> None:
        """Replace the network by the graphs ``encoder`` and ``denoiser``."""
        self.network = GraphDenoiser(graphs["encoder"], graphs["denoiser"], self.total_stride, self.styles)


def coarse(x: Tensor) -> Tensor:
    """Return x (BCHW) averaged over squares of a quarter of its sides, bilinear at its own size."""
    height, width = x.shape[2:]
    averaged = F.avg_pool2d(x, (max(height // 4, 1), max(width // 4, 1)))
    return F.interpolate(averaged, (height, width), mode="bilinear", align_corners=False)


def repeat_rows(features: Tensor, samples: int) -> Tensor:
    """Return the rows of features (B ...) once for each sample: samples*B rows, sample by sample.

    A single row is expanded, not copied.
    """
    if len(features) == 1:
        return features.expand(samples, *features.shape[1:])
    return torch.cat([features] * samples)
