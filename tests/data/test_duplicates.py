import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from mlffm_segdiff.data.duplicates import fingerprint, joined_groups, near_duplicates, same_images


def random_image(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).random((96, 128, 3))
    smooth = gaussian_filter(noise, (4, 4, 0))
    return (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


def test_bits_are_those_of_imagehash() -> None:
    first, second = random_image(0), random_image(1)
    ours = (128 - fingerprint(first).bits @ fingerprint(second).bits) / 2
    gray = [Image.fromarray(item).convert("L") for item in (first, second)]
    theirs = sum(make(gray[0]) - make(gray[1]) for make in (imagehash.phash, imagehash.dhash))
    assert ours == theirs


def test_a_resized_recompressed_brighter_copy_is_found_and_others_are_not() -> None:
    images = [random_image(seed) for seed in range(30)]
    copy = Image.fromarray(images[7]).resize((200, 150)).point(lambda value: min(255, value * 0.9 + 20))
    prints = [fingerprint(item) for item in [*images, np.asarray(copy)]]
    assert near_duplicates(prints) == [(7, 30)]


def test_two_lesions_under_one_vignette_are_distinguished() -> None:
    rows, columns = np.mgrid[:96, :128]
    radius = np.hypot((rows - 48) / 48, (columns - 64) / 64)
    lens = 200 * (radius < 0.95)

    def seen(height: float, width: float) -> np.ndarray:
        mole = np.exp(-(((rows - 48) / height) ** 2) - ((columns - 64) / width) ** 2)
        return np.repeat((lens * (1 - 0.6 * mole))[..., None], 3, 2).astype(np.uint8)

    prints = [fingerprint(seen(12, 5)), fingerprint(seen(5, 12))]
    assert prints[0].tone @ prints[1].tone > 0.965
    assert near_duplicates(prints, distance=128, detail=-1) == [(0, 1)]
    assert near_duplicates(prints) == []


def test_every_pair_is_seen_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlffm_segdiff.data.duplicates._BLOCK", 3)
    prints = [fingerprint(random_image(seed % 4)) for seed in range(10)]
    expected = [(i, j) for i in range(10) for j in range(i + 1, 10) if (j - i) % 4 == 0]
    assert sorted(near_duplicates(prints)) == expected


def test_uniform_images_and_no_images_are_accepted() -> None:
    flat = fingerprint(np.full((20, 20, 3), 9, np.uint8))
    assert near_duplicates([]) == []
    assert near_duplicates([flat, flat]) == []


@given(st.integers(1, 12).flatmap(lambda n: st.lists(st.tuples(st.integers(0, n), st.integers(0, n)))))
def test_joined_groups_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    count = 13
    groups = joined_groups([f"{i:02}" for i in range(count)], pairs)
    graph = np.eye(count, dtype=int)
    for i, j in pairs:
        graph[i, j] = graph[j, i] = 1
    reachable = np.linalg.matrix_power(graph.astype(float), count) > 0
    assert groups == [f"{np.flatnonzero(row)[0]:02}" for row in reachable]


@pytest.mark.parametrize("size", [(1, 1), (5, 400)])
def test_odd_shapes_have_fingerprints(size: tuple[int, int]) -> None:
    assert np.isfinite(fingerprint(np.full((*size, 3), 7, np.uint8)).detail).all()


def test_images_are_the_same_if_all_pixels_are() -> None:
    images = [random_image(seed) for seed in (0, 1, 0, 2, 1, 0)]
    images[3] = images[3].copy()
    changed = images[5].copy()
    changed[0, 0, 0] ^= 1
    prints = [fingerprint(image) for image in [*images[:5], changed, images[5], images[5].swapaxes(0, 1)]]
    assert same_images(prints) == [(0, 2, 6), (1, 4)]
