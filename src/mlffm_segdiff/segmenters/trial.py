"""Checks before a training starts: a trial of the recipe's batches and image size, and the memory."""

import copy

import torch

from mlffm_segdiff.config.errors import UserError, one_line
from mlffm_segdiff.config.schema import Recipe, SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.losses.mask_loss import LOSSES
from mlffm_segdiff.machine.memory import memory_bytes
from mlffm_segdiff.models.registry import TargetModelConfig
from mlffm_segdiff.models.weight_files import largest_allowed
from mlffm_segdiff.segmenters.assembly import checked_sampling
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.cost import build_on_meta

PACKAGE = __name__.partition(".")[0]
SAFE_CELLS = 4
"""Side of the coarsest feature map from which normalisations have enough values in a batch of any size."""
TRAINING_BYTES = 4 * 5
"""Bytes of a parameter with its gradient, its average and AdamW's two moments."""
LARGER = 4
"""Number of larger sizes to try for the hint of an error."""


def require_trainable(segmenter: BaseSegmenter, recipe: Recipe) -> None:
    """Refuse sizes at which a network cannot be trained: maps of one pixel have nothing to normalise.

    If images or batches are small, or the network or the loss is from outside this package, a loss in
    training mode, its gradients and the segmentation of one image are computed. The segmenter and torch's
    random state do not change.

    Args:
        segmenter: Segmenter on the CPU.
        recipe: Recipe of the segmenter.

    Raises:
        UserError: The loss or the segmentation fails; the error names the nearest size or batch that works,
            if one does. A network or loss of others has complex weights, or a buffer that would be saved and
            is not finite.
    """
    size, batch = recipe.data.size, recipe.train.batch_size
    small = batch == 1 or size < SAFE_CELLS * segmenter.total_stride
    others = _has_parts_of_others(recipe)
    if not (small or others):
        return
    if others:
        _require_usual_tensors(segmenter)
    sampling = _quick(checked_sampling(recipe.sampling))
    fault = _fault(segmenter, sampling, size, batch)
    if fault is None:
        return
    sizes = f"data.size={size} and train.batch_size={batch}"
    larger = [size + number * segmenter.total_stride for number in range(1, LARGER + 1)]
    choices = {"train.batch_size=2": (size, 2)} if batch == 1 else {}
    choices |= {f"data.size={side}": (side, batch) for side in larger}
    for hint, tried in choices.items():
        if _fault(segmenter, sampling, *tried) is None:
            raise UserError(f"{recipe.model.name} cannot be trained with {sizes} ({fault}); use {hint}")
    raise UserError(f"{recipe.model.name} cannot be trained with this loss ({fault}); correct one of them")


def _require_usual_tensors(segmenter: BaseSegmenter) -> None:
    """Refuse complex weights, and infinite or huge buffers that would be saved and then taken for damaged."""
    for name, value in segmenter.named_parameters():
        if value.is_complex():
            raise UserError(
                f"the weights {name!r} are complex, which the optimizer cannot train; keep them as real "
                "ones, by torch.view_as_real"
            )
    saved = segmenter.state_dict()
    for name, buffer in segmenter.named_buffers():
        if name not in saved or not buffer.is_floating_point():
            continue
        if not (buffer.abs() <= largest_allowed(name)).all():
            raise UserError(
                f"the buffer {name!r} of the network or loss is not finite or exceeds "
                f"{largest_allowed(name):g}, which saved weights must not; register it with persistent=False"
            )


def _has_parts_of_others(recipe: Recipe) -> bool:
    """Return whether the network or the loss is from outside this package."""
    if isinstance(recipe.model, TargetModelConfig) or recipe.loss.target is not None:
        return True
    parts = (type(recipe.model), LOSSES.require(recipe.loss.name))
    return not all(part.__module__.startswith(f"{PACKAGE}.") for part in parts)


def require_memory(recipe: Recipe) -> None:
    """Raise UserError if the training of a registered network needs more memory than this machine has.

    Each device has a copy of the network, in a process of its own.
    """
    if isinstance(recipe.model, TargetModelConfig):
        return
    parameters = sum(p.numel() for p in build_on_meta(recipe).parameters())
    devices = recipe.train.devices
    needed, memory = parameters * TRAINING_BYTES * devices, memory_bytes()
    if memory is not None and needed > memory:
        copies = f"on {devices} devices " if devices > 1 else ""
        raise UserError(
            f"{recipe.model.name} has {parameters / 1e6:,.0f} million parameters, whose training {copies}"
            f"needs {needed / 1e9:,.0f} GB, more than the {memory / 1e9:,.0f} GB of this machine; "
            "use smaller widths"
        )


def _quick(sampling: SamplingConfig) -> SamplingConfig:
    """Return the sampling with at most one sample in one step."""
    quick = {"samples": min(sampling.samples, 1), "steps": 1, "mirror": False, "fusion": "mean"}
    return sampling.model_copy(update=quick)


@torch.random.fork_rng(devices=())
def _fault(segmenter: BaseSegmenter, sampling: SamplingConfig, size: int, batch: int) -> str | None:
    """Return why a copy of the segmenter cannot learn from such images or segment one; None if it can."""
    rows = min(batch, 2)
    image = torch.rand(rows, 3, size, size, dtype=torch.float32) * 2 - 1
    mask = torch.ones(rows, 1, size, size, dtype=torch.float32)
    mask[..., : size // 2] = -1
    try:
        trial = copy.deepcopy(segmenter)
        torch.autograd.backward(trial.train().loss(Batch(image, mask, -mask, [""] * rows)))
        trial.eval().segment(image[:1], sampling)
    except UserError:
        raise
    except Exception as error:  # the network or the loss may not be ours
        return one_line(error)
    return None
