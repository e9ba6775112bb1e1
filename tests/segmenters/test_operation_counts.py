"""What segmenting costs, in counts that no machine changes: operations, arithmetic, bytes in use.

COST is of the packaged recipe's network with fresh weights at 128 x 128, one image. A change to the network
changes it: run this file, and where a change is wanted, copy what the failing test found into COST.
"""

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.folding import fold_batch_norm
from mlffm_segdiff.segmenters.recipe import load_recipe

SIZE = 128
Work = Callable[[], object]
CONVOLUTION = "aten.conv2d.default"
NORMALISATION = "aten.batch_norm.default"
NORMALISATIONS = 63

COST = {
    "encode": {"flops": 388_472_320, "convolutions": 73, "operations": 207},
    "denoise": {"flops": 486_647_104, "convolutions": 62, "operations": 382},
}
PEAK_BYTES = 4_100_000


class Operations(TorchDispatchMode):
    """Counts the operations that run in it, and the bytes of the tensors they made that still live."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.counts[str(func)] += 1
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        self.peak = max(self.peak, sum(self.alive.values()))
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage.data_ptr()
        if key not in self.alive:
            self.alive[key] = storage.nbytes()
            weakref.finalize(storage, self.alive.pop, key, None)


def flops(work: Work) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def operations(work: Work) -> Operations:
    with Operations() as found:
        work()
    return found


@pytest.fixture
def segmenter() -> DiffusionSegmenter:
    made = build_segmenter(load_recipe("isic2018", [f"data.size={SIZE}"])).eval()
    assert isinstance(made, DiffusionSegmenter)
    return made


@pytest.fixture
def image() -> Tensor:
    return torch.rand(1, 3, SIZE, SIZE) * 2 - 1


def segmenting(segmenter: DiffusionSegmenter, image: Tensor, samples: int = 0, steps: int = 4) -> Work:
    return lambda: segmenter.segment(image, SamplingConfig(samples=samples, steps=steps))


def parts(segmenter: DiffusionSegmenter, image: Tensor) -> dict[str, Work]:
    network: Any = segmenter.network
    with torch.inference_mode():
        features = network.encode(image)
    mask, t = torch.zeros(1, 1, SIZE, SIZE), torch.zeros(1, dtype=torch.long)
    return {
        "encode": torch.inference_mode()(lambda: network.encode(image)),
        "denoise": torch.inference_mode()(lambda: network.denoise(mask, t, features)),
    }


@pytest.mark.parametrize("part", ["encode", "denoise"])
def test_arithmetic_and_operations_of_each_part(
    part: str, segmenter: DiffusionSegmenter, image: Tensor
) -> None:
    work = parts(segmenter, image)[part]
    counts = operations(work).counts
    found = {
        "flops": flops(work),
        "convolutions": counts[CONVOLUTION],
        "operations": counts.total(),
    }
    assert found == COST[part]


@pytest.mark.parametrize(("samples", "steps", "rows"), [(0, 4, 1), (1, 1, 1), (1, 4, 4), (5, 3, 15)])
def test_a_segmentation_is_one_encoding_and_its_steps(
    samples: int, steps: int, rows: int, segmenter: DiffusionSegmenter, image: Tensor
) -> None:
    """The posterior mean takes one step, whatever the steps of samples."""
    found = flops(segmenting(segmenter, image, samples, steps))
    assert found == COST["encode"]["flops"] + rows * COST["denoise"]["flops"]


def test_folding_for_inference_leaves_the_arithmetic_and_removes_operations(
    segmenter: DiffusionSegmenter, image: Tensor
) -> None:
    """Batch normalisation is 48 operations of the encoder; its FLOPs were never counted."""
    plain, folded = (parts(one, image)["encode"] for one in (segmenter, fold_batch_norm(segmenter)))
    assert flops(folded) == flops(plain)
    assert operations(plain).counts[NORMALISATION] == NORMALISATIONS
    assert operations(folded).counts[NORMALISATION] == 0


@pytest.mark.parametrize(("rows", "samples", "steps"), [(1, 1, 4), (2, 5, 3), (3, 0, 1)])
def test_the_encoder_runs_once_and_the_denoiser_once_a_step(
    rows: int,
    samples: int,
    steps: int,
    segmenter: DiffusionSegmenter,
    image: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network: Any = segmenter.network
    encode, denoise = network.encode, network.denoise
    encoded: list[int] = []
    denoised: list[int] = []
    monkeypatch.setattr(network, "encode", lambda x: encoded.append(len(x)) or encode(x))
    monkeypatch.setattr(network, "denoise", lambda x, t, f: denoised.append(len(x)) or denoise(x, t, f))
    segmenting(segmenter, image.expand(rows, -1, -1, -1), samples, steps)()
    assert encoded == [rows]
    assert denoised == [rows * max(samples, 1)] * steps


def test_memory_of_a_segmentation(segmenter: DiffusionSegmenter, image: Tensor) -> None:
    found = operations(segmenting(segmenter, image)).peak
    assert found <= PEAK_BYTES, f"{found} bytes alive at once, more than {PEAK_BYTES}"
    assert found > PEAK_BYTES // 2, f"only {found} bytes alive at once: lower PEAK_BYTES"


def test_memory_does_not_grow_with_steps(segmenter: DiffusionSegmenter, image: Tensor) -> None:
    few, many = (operations(segmenting(segmenter, image, 1, steps)).peak for steps in (2, 10))
    assert many < 1.01 * few


def test_operations_by_hand() -> None:
    """Two tensors of 400 bytes and their sum live at once; one product of them is gone before."""
    with Operations() as found:
        a, b = torch.ones(100), torch.ones(100)
        a = (a * b).view(10, 10).sum(dim=0)
        c = torch.ones(100)
        del a, b, c
    assert found.counts["aten.mul.Tensor"] == 1
    assert found.counts["aten.ones.default"] == 3
    assert found.peak == 1240
    assert sum(found.alive.values()) == 0
