"""A denoiser, its diffusion process and its loss as one segmenter."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.diffusion.fusion import fuse
from mlffm_segdiff.diffusion.noise import case_generators, starting_noise
from mlffm_segdiff.diffusion.process import MaskDiffusion, add_noise, clean_estimate, velocity
from mlffm_segdiff.diffusion.reverse_step import ReverseStep
from mlffm_segdiff.diffusion.sampler import Predict, make_scheduler, sample
from mlffm_segdiff.diffusion.times import PowerLawTimes, TimeSampler
from mlffm_segdiff.diffusion.variational_bound import BOUND_SHARE, bound_term
from mlffm_segdiff.losses.boundary_weight import BoundaryWeight
from mlffm_segdiff.losses.region import RegionLoss, weighted_squared_error
from mlffm_segdiff.segmenters.base import Graph, Part, Sampling, Segmentation, Segmenter
from mlffm_segdiff.segmenters.denoiser_parts import GraphDenoiser, denoiser_parts


class Denoiser(Protocol):
    """The contract of a denoising network (ARCHITECTURE.md)."""

    total_stride: int

    def encode(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW) to features, each with B rows."""

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map a noisy mask (B C H W), times (B) and features to a logit or noise (B1HW).

        A process with a learned variance takes a second channel for it.
        """


class DiffusionSegmenter(Segmenter):
    """Trains a denoiser on noised masks and segments by sampling, with the image encoded once.

    times: default all alike. self_conditioning: the network also reads its last estimate (Chen et al.
    2022). own_samples: the share of each batch whose x_t is made from the network's own estimate at t = T,
    with the true mask as its target, so that it learns to mend its own errors and not to copy x_t (objective
    x0 alone: the noise of such an x_t leads back to the estimate, not to the mask). own_shift: the standard
    deviation of a shift of that estimate's logits, one draw a case, which makes it too large or too small
    where the network is in doubt, as errors grow from step to step.
    """

    def __init__(
        self,
        network: nn.Module,
        process: MaskDiffusion,
        loss: RegionLoss,
        weight: BoundaryWeight,
        times: TimeSampler | None = None,
        self_conditioning: bool = False,
        own_samples: float = 0.0,
        own_shift: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.region_loss = loss
        self.weight = weight
        self.times = times if times is not None else PowerLawTimes(process.train_steps)
        self.self_conditioning = self_conditioning
        self.own_samples = own_samples
        self.own_shift = own_shift
        self.register_buffer("alpha_bar", process.alphas_cumprod(), persistent=False)
        self.reverse_step = ReverseStep(process) if process.learned_variance else None

    @property
    def total_stride(self) -> int:
        """The number that height and width of an image must be multiples of."""
        return self._denoiser.total_stride

    @property
    def _denoiser(self) -> Denoiser:
        return self.network  # type: ignore[return-value]

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch at random times, a scalar; random numbers are torch's global ones."""
        features = self._denoiser.encode(batch.image)
        t, share = self.times.draw(len(batch.mask), batch.mask.device)
        alpha_bar = self._alpha_bar_at(t)
        noise = torch.randn_like(batch.mask)
        x0 = self.process.mask_scale * batch.mask
        x_t = add_noise(self._partly_own(x0, features), noise, alpha_bar)
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
    def segment(self, image: Tensor, ids: Sequence[str], sampling: Sampling) -> Segmentation:
        """Segment images (B3HW in [-1, 1]) by sampling.

        Each image is encoded once. Its samples share these features and run as one batch.
        """
        features = [repeat_rows(f, sampling.samples) for f in self._denoiser.encode(image)]
        generators = [
            generator
            for number in range(sampling.samples)
            for generator in case_generators(ids, sampling.seed, number)
        ]
        noise = starting_noise(generators, image.shape[2], image.shape[3]).to(image.device)
        scheduler = make_scheduler(sampling.sampler, self.process)
        x0 = sample(self._predictor(features, noise), scheduler, sampling.steps, noise, generators)
        drawn = (x0 / self.process.mask_scale + 1).div(2).clamp(0, 1)
        drawn = drawn.view(sampling.samples, len(image), *drawn.shape[1:])
        several = sampling.samples > 1
        spread = drawn.std(dim=0, correction=0) if several else torch.zeros_like(drawn[0])
        return Segmentation(fuse(drawn, sampling.fusion), spread, drawn)

    def _predictor(self, features: Sequence[Tensor], noise: Tensor) -> Predict:
        last = torch.zeros_like(noise)

        def predict(x: Tensor, t: Tensor) -> Tensor:
            nonlocal last
            times = t.to(x.device).expand(len(x))
            output = self._run(x, times, features, last).float()
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

    def _partly_own(self, x0: Tensor, features: Sequence[Tensor]) -> Tensor:
        count = round(self.own_samples * len(x0))
        if not count:
            return x0
        with torch.no_grad():
            noise = torch.randn_like(x0[:count])
            t = torch.full((count,), self.process.train_steps - 1, device=x0.device)
            output = self._run(noise, t, [f[:count].detach() for f in features], torch.zeros_like(noise))
            shift = self.own_shift * torch.randn(count, 1, 1, 1, device=x0.device)
            own = self._estimate(output + shift, noise, t)
        return torch.cat([own, x0[count:]])

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
        features = self._denoiser.encode(image)
        noisy_mask = image[:, : 2 if self.self_conditioning else 1].clone()  # no view of another input
        t = torch.full((len(image),), self.process.train_steps - 1, device=image.device)
        return denoiser_parts(self.network, image, noisy_mask, t, features)

    def run_on(self, graphs: Mapping[str, Graph]) -> None:
        """Replace the network by the graphs ``encoder`` and ``denoiser``."""
        self.network = GraphDenoiser(graphs["encoder"], graphs["denoiser"], self.total_stride)


def repeat_rows(features: Tensor, samples: int) -> Tensor:
    """Return the rows of features (BCHW) once for each sample: samples*B rows, sample by sample.

    A single row is expanded, not copied.
    """
    if len(features) == 1:
        return features.expand(samples, -1, -1, -1)
    return torch.cat([features] * samples)
