"""Cached cases as a torch dataset, an endless shuffled stream of draws, and loaders."""

import mmap
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.transforms import Compose
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from mlffm_segdiff.data.augment import augment_pair, random_state
from mlffm_segdiff.data.batch import ONLY, Pair, Replica, collate
from mlffm_segdiff.data.distance import signed_distance
from mlffm_segdiff.data.image_tensor import image_tensor, normalise_image
from mlffm_segdiff.machine.processors import processors


@dataclass(frozen=True)
class Draw:
    """One draw of the training stream: the index of a case, and the pass over the data."""

    epoch: int
    index: int


class PairDataset(Dataset[Pair]):
    """Cases from the cache; augmentation and distances are computed when an item is read.

    An item is read by a `Draw`, whose augmentation depends only on (seed, epoch, index), or by an index,
    which is a draw of epoch 0.

    Args:
        images: NxSxSx3 uint8 RGB. Memory maps are opened again in worker processes, not copied.
        masks: NxSxS uint8, 0 or 1.
        ids: N ids.
        augment: Augmentation of image and mask, or None.
        seed: Seed of the augmentation, at least 0.
        styles: Annotation style of each case, see `Pair`; empty by default.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        masks: NDArray[np.uint8],
        ids: Sequence[str],
        augment: Compose | None,
        seed: int,
        styles: Sequence[str] | None = None,
    ) -> None:
        self.images, self.masks, self.ids, self.augment, self.seed = images, masks, ids, augment, seed
        self.styles = styles if styles is not None else [""] * len(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, draw: Draw | int) -> Pair:
        epoch, index = (draw.epoch, draw.index) if isinstance(draw, Draw) else (0, draw)
        pair = {
            "image": image_tensor(self.images[index]),
            "mask": torch.from_numpy(np.array(self.masks[index]))[None].float(),
        }
        if self.augment is not None:
            pair = augment_pair(self.augment, pair, self.seed, epoch, index)
        lesion = pair["mask"] > 0.5
        distance = torch.from_numpy(signed_distance(lesion[0].numpy()))[None]
        image, mask = normalise_image(pair["image"]), lesion.float().mul(2).sub(1)
        return Pair(image, mask, distance, self.ids[index], self.styles[index])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "images": _without_data(self.images), "masks": _without_data(self.masks)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, images=_opened(state["images"]), masks=_opened(state["masks"]))


class MappedFile(NamedTuple):
    """The location of a memory map on disk, which a spawned worker gets instead of the data."""

    path: str
    dtype: str
    offset: int
    shape: tuple[int, ...]


def _without_data(array: NDArray[np.uint8]) -> NDArray[np.uint8] | MappedFile:
    if not (isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) and array.filename):
        return array
    return MappedFile(str(array.filename), array.dtype.str, array.offset, array.shape)


def _opened(array: NDArray[np.uint8] | MappedFile) -> NDArray[np.uint8]:
    if isinstance(array, MappedFile):
        return np.memmap(array.path, array.dtype, mode="r", offset=array.offset, shape=array.shape)
    return array


class Share(NamedTuple):
    """Indices of images that are drawn together, and their share of the draws, in (0, 1]."""

    indices: Sequence[int]
    share: float


class ShuffledStream(Sampler[Draw]):
    """Draws number start to stop - 1 of an endless shuffled stream.

    The images of a share are drawn in passes, each in a new order that depends on (seed, pass, share). The
    order of the shares is a pattern of ``PATTERN`` draws, shuffled again for every block of that length, in
    which each share has its number of draws, to a thousandth. So the stream can be entered at any number
    and continues exactly as if it had been read from 0.

    Args:
        shares: Shares, which sum to 1.
        seed: Seed, at least 0.
        start: Number of the first draw.
        stop: Number after the last draw.
        replica: Which of the draws to yield, for one of several processes.
    """

    PATTERN = 1000

    def __init__(
        self, shares: Sequence[Share], seed: int, start: int, stop: int, replica: Replica = ONLY
    ) -> None:
        self.shares, self.seed, self.start, self.stop, self.replica = shares, seed, start, stop, replica
        exact = np.array([share.share for share in shares]) * self.PATTERN
        counts = np.floor(exact + 1e-6).astype(int)
        counts[np.argsort(counts - exact, kind="stable")[: self.PATTERN - counts.sum()]] += 1
        self.counts = counts
        self._order: dict[int, tuple[int, NDArray[np.int64]]] = {}

    def __len__(self) -> int:
        return len(range(self.start + self.replica.number, self.stop, self.replica.world_size))

    def __iter__(self) -> Iterator[Draw]:
        return islice(self._draws(), self.replica.number, None, self.replica.world_size)

    def _draws(self) -> Iterator[Draw]:
        for block in range(self.start // self.PATTERN, -(-self.stop // self.PATTERN)):
            pattern = np.repeat(np.arange(len(self.shares)), self.counts)
            if len(self.shares) > 1:
                pattern = random_state(self.seed, block, 0, 1).permutation(pattern)
            drawn = block * self.counts
            for offset, share in enumerate(pattern.tolist()):
                if self.start <= block * self.PATTERN + offset < self.stop:
                    yield self._draw(share, int(drawn[share]))
                drawn[share] += 1

    def _draw(self, share: int, number: int) -> Draw:
        indices = self.shares[share].indices
        epoch, position = divmod(number, len(indices))
        known = self._order.get(share)
        if known is None or known[0] != epoch:
            known = epoch, random_state(self.seed, epoch, 0, 0, share).permutation(len(indices))
            self._order[share] = known
        return Draw(epoch, indices[int(known[1][position])])


def training_loader(
    dataset: PairDataset, stream: ShuffledStream, batch_size: int, workers: int, pin: bool
) -> DataLoader[Pair]:
    """Return a loader of the draws of a stream; the last batch may be smaller.

    Batches are bit for bit the same for any number of workers and in every iteration, and torch's global
    generator is not used.

    Args:
        dataset: Training cases.
        stream: Draws; to resume after k batches, it starts at k * batch_size.
        batch_size: Images per batch of all processes together.
        workers: Worker processes, at most one per CPU; 0 loads in this process.
        pin: Whether to pin memory if there is a GPU.
    """
    return _loader(dataset, batch_size, stream, stream.replica, workers, pin)


def plain_loader(
    dataset: PairDataset, batch_size: int, workers: int, replica: Replica = ONLY
) -> DataLoader[Pair]:
    """Return a loader of the cases of a replica in order; the last batch may be smaller.

    Args:
        dataset: Cases to load.
        batch_size: Images per batch of all processes together.
        workers: Worker processes, at most one per CPU; 0 loads in this process.
        replica: Process whose cases to load, of those that share the batches.
    """
    return _loader(
        dataset, batch_size, range(replica.number, len(dataset), replica.world_size), replica, workers, False
    )


def _loader(
    dataset: PairDataset,
    batch_size: int,
    sampler: ShuffledStream | range,
    replica: Replica,
    workers: int,
    pin: bool,
) -> DataLoader[Pair]:
    """Build a loader with its own generator; otherwise each iteration draws from torch's global generator."""
    count = min(workers, processors())
    return DataLoader(
        dataset,
        batch_size // replica.world_size,
        sampler=sampler,
        num_workers=count,
        collate_fn=partial(collate, replica=replica),
        pin_memory=pin and torch.cuda.is_available(),
        worker_init_fn=_prepare_worker,
        generator=torch.Generator().manual_seed(0),
        persistent_workers=count > 0,
    )


def _prepare_worker(_worker: int) -> None:
    """Compute in one thread, and end quietly at SIGTERM: `timeout` and schedulers send it to workers too.

    torch would report a worker that a signal kills as an error of the training that is being stopped.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
