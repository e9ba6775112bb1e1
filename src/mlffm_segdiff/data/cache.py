"""Images and masks decoded and resized once, into memory-mapped arrays that later runs open at once."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from platformdirs import user_cache_path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import BUILDING, atomic_folder
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.files import decode_image, decode_mask, extent
from mlffm_segdiff.data.progress import Progress

FORMAT = 2
_STALE_SECONDS = 24 * 3600

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CachedPairs:
    """Read-only, memory-mapped, ordered as `ids`: `images` NxSxSx3 uint8 RGB, `masks` NxSxS uint8 0/1."""

    ids: tuple[str, ...]
    images: Bytes
    masks: Bytes


def cache_root() -> Path:
    """Where caches lie: $MLFFM_SEGDIFF_CACHE, else the user's cache folder."""
    chosen = os.environ.get("MLFFM_SEGDIFF_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("mlffm-segdiff")


@dataclass(frozen=True)
class CacheUse:
    """What the caches take. size, free: bytes. free: on the disk of `folder`, None while there is none."""

    folder: Path
    entries: int
    size: int
    free: int | None


def cache_use(root: Path | None = None) -> CacheUse:
    """Return how many entries the cache has, and their size. root: default `cache_root()`."""
    folder = root or cache_root()
    if not folder.is_dir():
        return CacheUse(folder, 0, 0, None)
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process may remove it right now
            size += path.lstat().st_size if path.is_file() else 0
    return CacheUse(folder, sum(1 for _ in folder.iterdir()), size, shutil.disk_usage(folder).free)


def resize_image(image: Bytes, size: int) -> Bytes:
    """SxSx3 uint8 from HxWx3 uint8, antialiased (triangle filter over the source pixels)."""
    return resize_pil(Image.fromarray(image), size)


def resize_pil(picture: Image.Image, size: int) -> Bytes:
    """SxSx3 uint8 from Pillow's RGB picture; see `resize_image`."""
    return np.array(picture.resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)


def resize_mask(mask: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.bool_]:
    """SxS bool from HxW bool: True where at least half the target pixel's area is lesion."""
    coverage = _area_means(_area_means(mask, size).T, size).T
    return np.greater_equal(coverage, 0.5 - 1e-9)


def _area_means(values: npt.NDArray[np.generic], size: int) -> npt.NDArray[np.float64]:
    """SxW from HxW: the mean over each of `size` equal stretches of the first axis, cut through pixels."""
    length = len(values)
    total = np.zeros((length + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=total[1:])
    edges = np.arange(size + 1) * (length / size)
    below = np.minimum(edges.astype(int), length - 1)
    part = (edges - below)[:, None]
    means: npt.NDArray[np.float64] = np.diff((1 - part) * total[below] + part * total[below + 1], axis=0)
    return means * (size / length)


def open_cache(
    cases: Sequence[Case], size: int, root: Path | None = None, progress: Progress | None = None
) -> CachedPairs:
    """The pairs of `cases` at `size` x `size`, in their order; built first where there is no cache yet.

    The cache is keyed by ids, sources' stamps and size: a changed source makes a new one. It appears
    whole or not at all; of two processes that build it at once one wins and both use its result.
    progress: called with (done, total) while building. root: default `cache_root()`.
    Raises UserError if a case lacks its mask, cannot be decoded or has a mask of another size, or the disk
    is full.
    """
    _require_masks(cases)
    folder = (root or cache_root()) / f"{_key(cases, size)}-{size}"
    try:
        if not folder.is_dir():
            _sweep(folder.parent)
            with atomic_folder(folder) as building:
                _write(cases, size, building, progress or _silent)
        images, masks = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "masks"))
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"the cache {folder} cannot be used ({error}); delete it or free disk space"
        ) from error
    return CachedPairs(tuple(case.id for case in cases), images, masks)


def _silent(done: int, total: int) -> None:
    """The progress of a build that nobody watches."""
    del done, total


def _require_masks(cases: Sequence[Case]) -> None:
    if not cases:
        raise UserError("no cases to cache; check the data set's path and the split")
    _raise_bad([f"{case.id}: no mask" for case in cases if case.mask is None], len(cases))


def _raise_bad(bad: Sequence[str], total: int) -> None:
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise UserError(
            f"{len(bad)} of {total} cases cannot be used ({'; '.join(bad[:3])}{more}); "
            "list them by: mlffm-segdiff data check"
        )


def _key(cases: Sequence[Case], size: int) -> str:
    stamps = [[case.id, case.image.stamp(), case.mask.stamp() if case.mask else ""] for case in cases]
    return hashlib.sha256(json.dumps([FORMAT, size, stamps]).encode()).hexdigest()[:32]


def _sweep(root: Path) -> None:
    """Remove what processes killed more than a day ago left half-built."""
    for leftover in root.glob(f"{BUILDING}*"):
        with contextlib.suppress(FileNotFoundError):  # another process may finish it right now
            if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)


def _write(cases: Sequence[Case], size: int, folder: Path, progress: Progress) -> None:
    shape = (len(cases), size, size)
    images = _new_array(folder / "images.npy", (*shape, 3))
    masks = _new_array(folder / "masks.npy", shape)
    bad = []
    for index, pair in enumerate(_pairs(cases, size)):
        if isinstance(pair, str):
            bad.append(pair)
        else:
            images[index], masks[index] = pair
        progress(index + 1, len(cases))
    _raise_bad(bad, len(cases))
    images.flush()
    masks.flush()


def _new_array(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """A memory-mapped array whose room on the disk is taken now: a full one would kill at the first write."""
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # this file system cannot
                    raise
    return array


def _pairs(cases: Sequence[Case], size: int) -> Iterator[tuple[Bytes, Bytes] | str]:
    """Each case's resized pair, or the reason why there is none, in order; decoded by a pool of threads."""
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(cases), 64 * workers):
            yield from pool.map(lambda case: _pair(case, size), cases[start : start + 64 * workers])


def _pair(case: Case, size: int) -> tuple[Bytes, Bytes] | str:
    assert case.mask is not None
    try:
        image = decode_image(case.image.read(), str(case.image))
        mask = decode_mask(case.mask.read(), str(case.mask))
    except UserError as error:
        return str(error)
    if mask.shape != image.shape[:2]:
        return f"{case.id}: image {extent(image)}, mask {extent(mask)}"
    return resize_image(image, size), resize_mask(mask, size).astype(np.uint8)
