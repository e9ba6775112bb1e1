"""The training step of a diffusion segmenter: which noised masks it draws, and their loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.diffusion.process import add_noise

if TYPE_CHECKING:
    from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter


class TrainingDraws(Protocol):
    """Draws the x_t that a training batch is noised to, and computes their loss."""

    def loss(self, model: DiffusionSegmenter, batch: Batch, features: Sequence[Tensor]) -> Tensor:
        """Return the loss of a batch, a scalar, from the features of its images.

        Timesteps and noise come from torch's global generator.
        """


@dataclass(frozen=True)
class Single:
    """One draw per image at a random timestep, from the true mask (Ho et al. 2020, algorithm 1)."""

    def loss(self, model: DiffusionSegmenter, batch: Batch, features: Sequence[Tensor]) -> Tensor:
        """Train the objective on x_t of the true mask; see `TrainingDraws`."""
        t = model.sample_timesteps(len(batch.mask))
        alpha_bar = model.alpha_bar_at(t)
        noise = torch.randn_like(batch.mask)
        x_t = add_noise(self._x0(model, batch, features), noise, alpha_bar)
        output = model.denoise_in_training(x_t, t, features)
        weight = model.weight(batch.distance, alpha_bar.flatten(), t / model.process.train_steps)
        return model.objective.loss(output, batch, noise, alpha_bar, weight)

    def _x0(self, model: DiffusionSegmenter, batch: Batch, features: Sequence[Tensor]) -> Tensor:  # noqa: ARG002
        return model.process.mask_scale * batch.mask


@dataclass(frozen=True)
class Recycling(Single):
    """x_t is made from the network's own estimate at t = T; the target stays the true mask.

    Fu et al. 2023, arXiv:2308.16355. Such an x_t has no information on the true mask, so the network learns
    to ignore it, and its samples hardly differ.

    Attributes:
        shift: Standard deviation of a shift of the estimate's logits, drawn once per image. Our heuristic: it
            makes the estimate too large or too small where the network is uncertain, like errors that grow
            from step to step.
    """

    shift: float = 0.0

    @torch.no_grad()
    def _x0(self, model: DiffusionSegmenter, batch: Batch, features: Sequence[Tensor]) -> Tensor:
        noise = torch.randn_like(batch.mask)
        t = model.last_timestep(len(noise))
        logit = model.denoise(noise, t, [f.detach() for f in features])
        shift = self.shift * torch.randn(len(noise), 1, 1, 1, device=noise.device)
        return model.objective.x0(logit + shift, noise, model.alpha_bar_at(t))


@dataclass(frozen=True)
class Dual:
    """Two draws from one encoding of each image: pure noise at t = T, and a noised true mask at t < T.

    At t = T the best estimate is the posterior mean, so the network is trained as a direct network is. At
    t < T the loss is plain cross-entropy, a proper scoring rule, so that sampling draws from p(mask | image).
    For objective x0. Both draws run as one batch.

    Attributes:
        noisy_share: Share of the images, from the first on, that get the second draw, in [0, 1].
        noisy_weight: Factor of the second draw's loss.
    """

    noisy_share: float = 0.5
    noisy_weight: float = 1.0

    def loss(self, model: DiffusionSegmenter, batch: Batch, features: Sequence[Tensor]) -> Tensor:
        """Add the loss at t = T and the weighted loss at t < T; see `TrainingDraws`."""
        count = len(batch.mask)
        noisy = math.ceil(self.noisy_share * count)
        t = torch.cat([model.last_timestep(count), model.sample_timesteps(noisy)])
        alpha_bar = model.alpha_bar_at(t)
        pure_noise, mask = torch.randn_like(batch.mask), batch.mask[:noisy]
        noised = add_noise(model.process.mask_scale * mask, torch.randn_like(mask), alpha_bar[count:])
        rows = [torch.cat([f, f[:noisy]]) for f in features]
        output = model.denoise_in_training(torch.cat([pure_noise, noised]), t, rows)
        ones = torch.ones_like(alpha_bar[:count])
        weight = model.weight(batch.distance, ones.flatten(), 1 - ones.flatten())
        loss = model.objective.loss(output[:count], batch, pure_noise, alpha_bar[:count], weight)
        if noisy:
            target = (mask > 0).float()
            entropy = F.binary_cross_entropy_with_logits(output[count:].float(), target)
            loss = loss + self.noisy_weight * entropy
        return loss
