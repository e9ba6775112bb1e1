"""Near-duplicate images: perceptual hashes find candidates, correlations of thumbnails decide."""

import hashlib
from collections import defaultdict
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
    """Features of one image for the search of near-duplicates.

    Attributes:
        bits: 128 values of -1 or +1, pHash and dHash.
        tone: Flattened grey thumbnail, of zero mean and unit length, so that a dot product is Pearson's
            correlation.
        detail: The same of the high-pass filtered thumbnail, weighted towards the centre.
        pixels: Digest of the size and all pixels, equal only for the same image.
    """

    bits: Floats
    tone: Floats
    detail: Floats
    pixels: bytes


def fingerprint(image: npt.NDArray[np.uint8]) -> Fingerprint:
    """Compute the fingerprint of an HxWx3 uint8 image."""
    gray = Image.fromarray(image).convert("L")
    hashes = (imagehash.phash(gray).hash, imagehash.dhash(gray).hash)
    bits = np.concatenate([2 * hashed.ravel().astype(np.float32) - 1 for hashed in hashes])
    small = np.asarray(gray.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), dtype=np.float32)
    detail = (small - gaussian_filter(small, _DETAIL_WIDTH)) * _centre()
    pixels = hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()
    return Fingerprint(bits, _normalised(small), _normalised(detail), pixels)


def _centre() -> Floats:
    """Return weights from 1 in the middle to 0 at the inscribed circle, to ignore vignettes of the lens."""
    axis = (np.arange(THUMBNAIL) + 0.5) / THUMBNAIL * 2 - 1
    radius = np.minimum(np.hypot(axis[:, None], axis), 1)
    return np.asarray(np.cos(radius * np.pi / 2), dtype=np.float32)


def _normalised(values: Floats) -> Floats:
    centred: Floats = (values - values.mean()).ravel()
    length = max(float(np.linalg.norm(centred)), 1e-6)
    return np.divide(centred, length, dtype=np.float32)


def same_images(prints: Sequence[Fingerprint]) -> list[tuple[int, ...]]:
    """Return the indices of the images whose pixels are all equal, two or more at a time, in order."""
    indices: dict[bytes, list[int]] = defaultdict(list)
    for index, item in enumerate(prints):
        indices[item.pixels].append(index)
    return [tuple(same) for same in indices.values() if len(same) > 1]


def near_duplicates(
    prints: Sequence[Fingerprint],
    distance: int = HASH_DISTANCE,
    tone: float = TONE,
    detail: float = DETAIL,
) -> list[tuple[int, int]]:
    """Find pairs of images that are similar in their hashes and in both thumbnails.

    Hashes of smooth lesions on plain skin often collide; the thumbnails distinguish these. The defaults were
    chosen by eye on ISIC 2018 and HAM10000.

    Args:
        prints: Fingerprints of the images.
        distance: Maximum number of different bits, of 128.
        tone: Minimum correlation of ``tone``.
        detail: Minimum correlation of ``detail``.

    Returns:
        Index pairs (i, j) with i < j.
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
    """Return all index pairs i < j with at most `distance` different bits, counted by products of signs."""
    blocks = list(_blocks(bits, bits.shape[1] - 2 * distance))
    return np.concatenate([rows for rows, _ in blocks]), np.concatenate([columns for _, columns in blocks])


def _blocks(bits: Floats, closest: int) -> Iterator[tuple[Indices, Indices]]:
    for start in range(0, len(bits), _BLOCK):
        agreement = bits[start : start + _BLOCK] @ bits[start:].T
        rows, columns = np.nonzero(np.triu(agreement >= closest, k=1))
        yield rows + start, columns + start


def _dots(vectors: Floats, rows: Indices, columns: Indices) -> Floats:
    """Return the dot products of vectors[rows] and vectors[columns], row by row."""
    dots = np.empty(len(rows), np.float32)
    for at in range(0, len(rows), _BLOCK):
        block = slice(at, at + _BLOCK)
        dots[block] = np.einsum("ij,ij->i", vectors[rows[block]], vectors[columns[block]])
    return dots


def joined_groups(groups: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """Merge the groups of near-duplicates.

    Args:
        groups: Group of each item.
        pairs: Index pairs whose groups are merged.

    Returns:
        New group of each item, named by the alphabetically first of the merged ones.
    """
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    for i, j in pairs:
        first, second = sorted((root(groups[i]), root(groups[j])))
        parent[second] = first
    return [root(group) for group in groups]
