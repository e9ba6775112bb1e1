"""Run by test_replicas.py in each of two processes: gradients of parts of batches, in double precision."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mlffm_segdiff.data.batch import ONLY, Batch, Replica
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.recipe import check_recipe
from mlffm_segdiff.training.whole_batch_layers import WholeBatchLayers

COUNT, SIDE = 6, 64
TINY = {"name": "mlffm_segdiff", "size": "tiny"}
FCN = {"widths": (4, 8, 8, 16, 16), "convolutions": (1, 1, 1, 1, 1), "head_width": 32}
SINGLE = {"objective": "epsilon", "training": "single"}
KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "dual": {},
    "one noisy draw": {"diffusion": {"noisy_share": 0.1}},
    "five noisy draws": {"diffusion": {"noisy_share": 0.8, "noisy_weight": 0.5}},
    "single": {"diffusion": {"training": "single"}, "loss": {"weight": "dermosegdiff", "kervadec": 0.1}},
    "epsilon": {"diffusion": SINGLE, "sampling": {"samples": 1}},
    "v": {"diffusion": {**SINGLE, "objective": "v"}, "sampling": {"samples": 1}},
    "recycling": {"diffusion": {"training": "recycling"}},
    "self-conditioning": {"diffusion": {"self_conditioning": True}},
    "styles": {"model": {**TINY, "styles": ["synthetic"]}},
    "batch norm": {
        "model": {"name": "unet", "encoder": "efficientnet_lite0", "decoder_widths": (8, 8, 8, 8)}
    },
    "batch Dice": {"loss": {"batch_dice": True}},
    "deep supervision": {"model": {"name": "nnunet", "image_size": SIDE}, "loss": {"batch_dice": True}},
    "dropout": {"model": {"name": "fcn", **FCN}},
    "own loss": {"loss": {"target": f"{__name__}.largest_error"}},
}


def largest_error(logit: Tensor, mask: Tensor, distance: Tensor, weight: Tensor) -> Tensor:
    """A loss that is no mean over images."""
    del distance, weight
    return (logit - mask).square().flatten(1).mean(1).norm()


def made(kind: str) -> BaseSegmenter:
    values: dict[str, Any] = {
        "name": "tiny",
        "data": {"sources": {"synthetic": None}, "size": SIDE},
        "model": TINY,
        **KINDS[kind],
    }
    torch.manual_seed(0)
    return build_segmenter(check_recipe(values, kind)).double().train()


def part(replica: Replica) -> Batch:
    generator = torch.Generator().manual_seed(1)
    distance = torch.randn(COUNT, 1, SIDE, SIDE, generator=generator, dtype=torch.float64)
    image = torch.rand(COUNT, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    rows = (replica.of(x) for x in (image, 1 - 2 * (distance > 0).double(), distance))
    count = COUNT // replica.world_size
    return Batch(*rows, [""] * count, ["synthetic"] * count, replica)


class LossOf(nn.Module):
    def __init__(self, segmenter: BaseSegmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, batch: Batch) -> Tensor:
        return self.segmenter.loss(batch)


def learned(kind: str, replica: Replica = ONLY) -> dict[str, Tensor]:
    """The loss, the gradients and the buffers after one backward pass of this process or of all."""
    segmenter = made(kind)
    loss_of: nn.Module = LossOf(segmenter)
    if replica.world_size > 1:
        WholeBatchLayers(on_cpu=True).apply(segmenter)
        loss_of = DistributedDataParallel(loss_of)
    torch.manual_seed(7)
    loss = loss_of(part(replica))
    loss.backward()
    mean = loss.detach().clone()
    if replica.world_size > 1:
        distributed.all_reduce(mean)
    found = {name: p.grad for name, p in segmenter.named_parameters() if p.grad is not None}
    return {"loss": mean / replica.world_size, **found, **dict(segmenter.named_buffers())}


def main(folder: Path, number: int) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'meeting'}",
        rank=number,
        world_size=2,
        timeout=timedelta(minutes=5),
    )
    found = {kind: learned(kind, Replica(number, 2)) for kind in KINDS}
    torch.save(found, folder / f"{number}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
