"""Near-duplicate images: perceptual hashes find candidates, thumbnails settle them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

THUMBNAIL = 48
HASH_DISTANCE = 24
TONE = 0.965
DETAIL = 0.57
_DETAIL_WIDTH = 2.0
_BLOCK = 1024

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fingerprint:
    """Of one image. `bits`: 128 of -1 or +1, its pHash, then its dHash.

    `tone` and `detail`: the gray thumbnail, and the same without its blur and faded out from the centre;
    both flat, of zero mean and unit length, so that a product of two is Pearson's correlation.
    """

    bits: Floats
    tone: Floats
    detail: Floats


def fingerprint(image: npt.NDArray[np.uint8]) -> Fingerprint:
    """The fingerprint of an HxWx3 uint8 image."""
    gray = Image.fromarray(image).convert("L")
    hashes = (imagehash.phash(gray).hash, imagehash.dhash(gray).hash)
    bits = np.concatenate([2 * hashed.ravel().astype(np.float32) - 1 for hashed in hashes])
    small = np.asarray(gray.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), dtype=np.float32)
    detail = (small - gaussian_filter(small, _DETAIL_WIDTH)) * _centre()
    return Fingerprint(bits, _normalised(small), _normalised(detail))


def _centre() -> Floats:
    """1 in the middle, 0 at the inscribed circle and beyond: the vignette of the lens is no likeness."""
    axis = (np.arange(THUMBNAIL) + 0.5) / THUMBNAIL * 2 - 1
    radius = np.minimum(np.hypot(axis[:, None], axis), 1)
    return np.asarray(np.cos(radius * np.pi / 2), dtype=np.float32)


def _normalised(values: Floats) -> Floats:
    centred: Floats = (values - values.mean()).ravel()
    length = max(float(np.linalg.norm(centred)), 1e-6)
    return np.divide(centred, length, dtype=np.float32)


def near_duplicates(
    prints: Sequence[Fingerprint],
    distance: int = HASH_DISTANCE,
    tone: float = TONE,
    detail: float = DETAIL,
) -> list[tuple[int, int]]:
    """Index pairs (i < j) of images alike in all of three ways.

    Their hashes differ in at most `distance` of 128 bits, and `tone` and `detail` correlate at least so
    much. Smooth lesions on plain skin under one lens collide in their hashes by the thousand; the
    thumbnails tell those apart. The defaults are set by eye on ISIC 2018 and HAM10000.
    """
    if not prints:
        return []
    rows, columns = _candidates(np.stack([item.bits for item in prints]), distance)
    for floor, vectors in (
        (tone, np.stack([item.tone for item in prints])),
        (detail, np.stack([item.detail for item in prints])),
    ):
        alike = _dots(vectors, rows, columns) >= floor
        rows, columns = rows[alike], columns[alike]
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _candidates(bits: Floats, distance: int) -> tuple[Indices, Indices]:
    """All index pairs i < j within `distance` differing bits; the product of signs counts them."""
    blocks = list(_blocks(bits, bits.shape[1] - 2 * distance))
    return np.concatenate([rows for rows, _ in blocks]), np.concatenate([columns for _, columns in blocks])


def _blocks(bits: Floats, closest: int) -> Iterator[tuple[Indices, Indices]]:
    for start in range(0, len(bits), _BLOCK):
        agreement = bits[start : start + _BLOCK] @ bits[start:].T
        rows, columns = np.nonzero(np.triu(agreement >= closest, k=1))
        yield rows + start, columns + start


def _dots(vectors: Floats, rows: Indices, columns: Indices) -> Floats:
    """Row by row products of vectors[rows] and vectors[columns]."""
    dots = np.empty(len(rows), np.float32)
    for at in range(0, len(rows), _BLOCK):
        block = slice(at, at + _BLOCK)
        dots[block] = np.einsum("ij,ij->i", vectors[rows[block]], vectors[columns[block]])
    return dots


def joined_groups(groups: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """Each item's group after the groups of every pair are made one, named by the first in order."""
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    for i, j in pairs:
        first, second = sorted((root(groups[i]), root(groups[j])))
        parent[second] = first
    return [root(group) for group in groups]
