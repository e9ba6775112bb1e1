"""The training step of a diffusion segmenter: which noised masks it draws, and their loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from mlffm_segdiff.data.batch import Batch, Replica
from mlffm_segdiff.diffusion.process import add_noise
from mlffm_segdiff.segmenters.gradients import without_gradients

if TYPE_CHECKING:
    from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter


class TrainingDraws(Protocol):
    """Draws the x_t that a training batch is noised to, and computes their loss."""

    def loss(self, model: DiffusionSegmenter, batch: Batch, features: Sequence[Tensor]) -> Tensor:
        """Return the loss of a batch, a scalar, from the features of its images.

        Timesteps and noise come from torch's global generator, for all images of the whole batch, so each
        image has the same in any number of processes that have the same state of the generator.
        """


@dataclass(frozen=True)
class Single:
    """One draw per image at a random timestep, from the true mask (Ho et al. 2020, algorithm 1)."""

    def loss(self, model: DiffusionSegmenter, batch: Batch, features: Sequence[Tensor]) -> Tensor:
        """Train the objective on x_t of the true mask; see `TrainingDraws`."""
        replica, count = batch.replica, len(batch.mask) * batch.replica.world_size
        t = replica.of(model.sample_timesteps(count))
        alpha_bar = model.alpha_bar_at(t)
        noise = noise_like(batch.mask, replica, count)
        x_t = add_noise(self._x0(model, batch, features), noise, alpha_bar)
        conditioned = replica.of(torch.arange(count) >= count / 2)
        output = model.denoise_in_training(x_t, t, features, conditioned)
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

    @without_gradients()
    def _x0(self, model: DiffusionSegmenter, batch: Batch, features: Sequence[Tensor]) -> Tensor:
        count = len(batch.mask) * batch.replica.world_size
        noise = noise_like(batch.mask, batch.replica, count)
        t = model.last_timestep(len(noise))
        logit = model.denoise(noise, t, [f.detach() for f in features])
        shift = self.shift * noise_like(noise[:, :, :1, :1], batch.replica, count)
        return model.objective.x0(logit + shift, noise, model.alpha_bar_at(t))


@dataclass(frozen=True)
class Dual:
    """Two draws from one encoding of each image: pure noise at t = T, and a noised true mask at a random t.

    At t = T the best estimate is the posterior mean, so the network is trained as a direct network is. At the
    random t the loss is plain cross-entropy, a proper scoring rule, so that sampling draws from
    p(mask | image).
    For objective x0. Both draws run as one batch.

    Attributes:
        noisy_share: Share of the images, from the first on, that get the second draw, in [0, 1].
        noisy_weight: Factor of the second draw's loss.
    """

    noisy_share: float = 0.5
    noisy_weight: float = 1.0

    def loss(self, model: DiffusionSegmenter, batch: Batch, features: Sequence[Tensor]) -> Tensor:
        """Add the loss at t = T and the weighted loss at a random t; see `TrainingDraws`."""
        replica, count = batch.replica, len(batch.mask)
        total = count * replica.world_size
        all_noisy = math.ceil(self.noisy_share * total)
        conditioned = torch.cat(
            [
                replica.of(torch.arange(total) >= total / 2),
                replica.of(torch.arange(all_noisy) >= all_noisy // 2),
            ]
        )
        noisy = len(conditioned) - count
        t = torch.cat([model.last_timestep(count), replica.of(model.sample_timesteps(all_noisy))])
        alpha_bar = model.alpha_bar_at(t)
        pure_noise, mask = noise_like(batch.mask, replica, total), batch.mask[:noisy]
        noise = noise_like(mask, replica, all_noisy)
        noised = add_noise(model.process.mask_scale * mask, noise, alpha_bar[count:])
        rows = [torch.cat([f, f[:noisy]]) for f in features]
        output = model.denoise_in_training(torch.cat([pure_noise, noised]), t, rows, conditioned)
        ones = torch.ones_like(alpha_bar[:count])
        weight = model.weight(batch.distance, ones.flatten(), 1 - ones.flatten())
        loss = model.objective.loss(output[:count], batch, pure_noise, alpha_bar[:count], weight)
        if noisy:
            target = (mask > 0).float()
            entropy = F.binary_cross_entropy_with_logits(output[count:].float(), target)
            # the mean over processes of this times their own means is the mean over all noisy images
            own_share = noisy * replica.world_size / all_noisy
            loss = loss + self.noisy_weight * own_share * entropy
        return loss


def noise_like(rows: Tensor, replica: Replica, count: int) -> Tensor:
    """Draw standard normal noise for ``count`` rows of a whole batch; return that of a replica's ``rows``."""
    return replica.of(torch.randn(count, *rows.shape[1:], dtype=rows.dtype, device=rows.device))
