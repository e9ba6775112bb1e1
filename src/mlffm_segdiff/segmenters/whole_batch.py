"""Losses of the whole batch of processes that train together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed

from mlffm_segdiff.config.errors import UserError

if TYPE_CHECKING:
    from mlffm_segdiff.data.batch import Replica
    from mlffm_segdiff.losses.mask_loss import MaskLoss


def whole_loss(loss: MaskLoss, replica: Replica, *rows: Tensor) -> Tensor:
    """Compute a loss so that the mean of its gradients over all processes is the gradient of the whole batch.

    That holds for a mean over images as it is (see `MaskLoss`). Any other loss is computed, in each process,
    on the rows of all.

    Args:
        loss: Loss of a batch.
        replica: Process that holds these rows, among all.
        rows: Logit, mask, distance and weight of the images of this process.

    Returns:
        A scalar.

    Raises:
        UserError: The loss returns something else, or has no gradient.
    """
    if replica.world_size > 1 and not getattr(loss, "mean_over_images", False):
        rows = tuple(gather(x).transpose(0, 1).flatten(0, 1) for x in rows)  # in the order of the batch
    found: object = loss(*rows)
    if not isinstance(found, Tensor) or found.ndim:
        kind = f"of shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise UserError(f"the loss must be a scalar tensor, but is {kind}; return its mean over the batch")
    if rows[0].requires_grad and not found.requires_grad:
        raise UserError("the loss has no gradient; compute it from the logit by differentiable operations")
    return found


def gather(x: Tensor) -> Tensor:
    """Stack a tensor of all processes, of one shape, in the order of their numbers.

    Gradients flow back to each process from all of them.
    """
    gathered: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        found = [torch.empty_like(x) for _ in range(distributed.get_world_size())]
        distributed.all_gather(found, x.contiguous())
        return torch.stack(found)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: ARG004
        total = grads[0].contiguous()
        distributed.all_reduce(total)
        return total[distributed.get_rank()]
