"""Cache of decoded and resized images and masks, in memory-mapped arrays."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from platformdirs import user_cache_path

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.progress import Progress
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.files import rgb_rows
from mlffm_segdiff.data.read_pair import UnfitCaseError, read_pair
from mlffm_segdiff.files.atomic import atomic_folder
from mlffm_segdiff.machine.processors import processors

FORMAT = 3
CACHE_FIX = "free disk space, or set MLFFM_SEGDIFF_CACHE to a folder that can be written"

Bytes = npt.NDArray[np.uint8]


class UnusableCasesError(UserError):
    """Cases that cannot be used, of which the message names the first three.

    Attributes:
        bad: Reason for each case.
    """

    def __init__(self, bad: Sequence[str], total: int) -> None:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        super().__init__(
            f"{len(bad)} of {total} cases cannot be used ({'; '.join(bad[:3])}{more}); "
            "list them with: mlffm-segdiff data check"
        )
        self.bad = tuple(bad)


@dataclass(frozen=True)
class CachedPairs:
    """Cached cases, memory-mapped and read-only.

    Attributes:
        ids: N ids.
        images: NxSxSx3 uint8 RGB.
        masks: NxSxS uint8, 0 or 1.
        soft: N bool, whether the file of a mask has more than two values, which were cut at half.
    """

    ids: tuple[str, ...]
    images: Bytes
    masks: Bytes
    soft: npt.NDArray[np.bool_]


def cache_root() -> Path:
    """Return the folder of the cache: $MLFFM_SEGDIFF_CACHE, or the user's cache folder by default."""
    chosen = os.environ.get("MLFFM_SEGDIFF_CACHE")
    return expanded(chosen) if chosen else user_cache_path("mlffm-segdiff")


@dataclass(frozen=True)
class CacheUse:
    """Disk use of the cache.

    Attributes:
        folder: Folder of the cache.
        entries: Number of entries.
        size: Bytes used.
        free: Bytes free on the disk, or None if the folder does not exist.
    """

    folder: Path
    entries: int
    size: int
    free: int | None


def cache_use(root: Path | None = None) -> CacheUse:
    """Return the disk use of the cache in `root`, by default `cache_root()`."""
    folder = root or cache_root()
    if not folder.is_dir():
        return CacheUse(folder, 0, 0, None)
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process may remove it right now
            size += path.lstat().st_size if path.is_file() else 0
    return CacheUse(folder, sum(1 for _ in folder.iterdir()), size, shutil.disk_usage(folder).free)


def resize_image(image: Bytes, size: int) -> Bytes:
    """Resize an image to a square, antialiased (triangle filter over the source pixels).

    Args:
        image: HxWx3 uint8 RGB.
        size: Side S in pixels.

    Returns:
        SxSx3 uint8 RGB.
    """
    return rgb_rows(Image.fromarray(image), "").resized(size)


def resize_mask(mask: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.bool_]:
    """Resize a mask to a square by the covered area of each pixel.

    Args:
        mask: HxW bool.
        size: Side S in pixels.

    Returns:
        SxS bool, True where at least half of the target pixel's area is lesion.
    """
    coverage = _area_means(_area_means(mask, size).T, size).T
    return np.greater_equal(coverage, 0.5 - 1e-9)


def _area_means(values: npt.NDArray[np.generic], size: int) -> npt.NDArray[np.float64]:
    """Return the means, SxW, over S equal intervals of the first axis, which may cut through pixels."""
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
    """Open the cached pairs of the cases, building the cache first if needed.

    The key of an entry has ids, stamps of the files, and size, so a changed file gives a new entry. Entries
    are written atomically; if two processes build one at the same time, both use the first result.

    Args:
        cases: Cases, in the order of the result.
        size: Height and width of images and masks in pixels.
        root: Folder of the cache, by default `cache_root()`.
        progress: Called with (done, total) while the entry is built.

    Returns:
        The pairs.

    Raises:
        UserError: If a case has no mask, cannot be decoded or has a mask of another size, or if the disk is
            full.
    """
    if not cases:
        raise UserError("no cases to cache; check the data set's path and the split")
    if bad := [f"{case.id}: no mask" for case in cases if case.mask is None]:
        raise UnusableCasesError(bad, len(cases))
    stamps = [[case.id, case.image.stamp(), case.mask.stamp() if case.mask else ""] for case in cases]
    key = hashlib.sha256(json.dumps([FORMAT, size, stamps]).encode()).hexdigest()[:32]
    folder = (root or cache_root()) / f"{key}-{size}"
    try:
        if not folder.is_dir():
            with atomic_folder(folder, CACHE_FIX) as building:
                _write(cases, size, building, progress or (lambda *_: None))
        images, masks, soft = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "masks", "soft")
        )
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"the cache {folder} cannot be used ({reason_of(error)}); delete it or free disk space"
        ) from error
    return CachedPairs(tuple(case.id for case in cases), images, masks, soft)


def _write(cases: Sequence[Case], size: int, folder: Path, progress: Progress) -> None:
    shape = (len(cases), size, size)
    images = _new_array(folder / "images.npy", (*shape, 3))
    masks = _new_array(folder / "masks.npy", shape)
    soft = np.zeros(len(cases), bool)
    bad = []
    for index, pair in enumerate(_pairs(cases, size)):
        if isinstance(pair, str):
            bad.append(pair)
        else:
            images[index], masks[index], soft[index] = pair
        progress(index + 1, len(cases))
    if bad:
        raise UnusableCasesError(bad, len(cases))
    images.flush()
    masks.flush()
    np.save(folder / "soft.npy", soft)


def _new_array(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Create a memory-mapped array and reserve its disk space; on a full disk, writing would kill."""
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # not supported by this file system
                    raise
    return array


def _pairs(cases: Sequence[Case], size: int) -> Iterator[tuple[Bytes, Bytes, bool] | str]:
    """Yield each case's resized pair, or the reason for its absence, in order; decode in a thread pool."""
    workers = min(8, processors())
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(cases), 64 * workers):
            yield from pool.map(lambda case: _pair(case, size), cases[start : start + 64 * workers])


def _pair(case: Case, size: int) -> tuple[Bytes, Bytes, bool] | str:
    try:
        image, mask = read_pair(case)
    except UnfitCaseError as error:
        return error.problem
    return resize_image(np.asarray(image), size), resize_mask(mask.lesion, size).astype(np.uint8), mask.soft
