"""The data set, the stream of draws and the loaders: the same batches whoever reads them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlffm_segdiff.data.augment import training_augmentation
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.data.dataset import Draw, PairDataset, ShuffledStream, plain_loader, training_loader
from mlffm_segdiff.data.distance import signed_distance

CASES, SIDE = 10, 24


def memory_map(path: Path, array: np.ndarray) -> np.memmap:
    np.lib.format.open_memmap(path, "w+", array.dtype, array.shape)[:] = array
    return np.load(path, mmap_mode="r")


def pairs_in(folder: Path, augmented: bool) -> PairDataset:
    state = np.random.RandomState(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    radii = state.uniform(3, 9, CASES)
    masks = np.stack([np.hypot(rows - 10, columns - 13) < radius for radius in radii]).astype(np.uint8)
    images = state.randint(0, 256, (CASES, SIDE, SIDE, 3), np.uint8)
    augment = training_augmentation(True, 1, 1, 0.5, 0.5, size=SIDE) if augmented else None
    ids = [f"case{number}" for number in range(CASES)]
    return PairDataset(
        memory_map(folder / "images.npy", images),
        memory_map(folder / "masks.npy", masks),
        ids,
        augment,
        seed=4,
    )


@pytest.fixture
def augmented(tmp_path) -> PairDataset:
    return pairs_in(tmp_path, augmented=True)


@pytest.fixture
def plain(tmp_path) -> PairDataset:
    return pairs_in(tmp_path, augmented=False)


def same(left: Batch, right: Batch) -> bool:
    tensors = zip(left[:3], right[:3], strict=True)
    return left.ids == right.ids and all(torch.equal(one, other) for one, other in tensors)


def test_a_plain_item_is_the_cached_pair_in_its_units(plain):
    item = plain[3]
    assert item.id == "case3"
    np.testing.assert_allclose(item.image, plain.images[3].transpose(2, 0, 1) / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(item.mask[0], np.where(plain.masks[3], 1.0, -1.0))
    np.testing.assert_array_equal(item.distance[0], signed_distance(plain.masks[3] == 1))
    assert {field.dtype for field in item[:3]} == {torch.float32}
    assert all(field.is_contiguous() for field in item[:3])


def test_an_augmented_item_has_two_mask_values_its_own_distance_and_an_image_in_range(augmented):
    changed = 0
    for index in range(CASES):
        for epoch in range(4):
            item = augmented[Draw(epoch, index)]
            assert set(item.mask.unique().tolist()) == {-1.0, 1.0}
            assert item.image.min() >= -1
            assert item.image.max() <= 1
            np.testing.assert_array_equal(item.distance[0], signed_distance(item.mask[0].numpy() > 0))
            changed += not np.array_equal(item.mask[0] > 0, augmented.masks[index] > 0)
    assert changed > 3 * CASES


@given(st.integers(1, 7), st.integers(0, 40), st.integers(0, 40), st.integers(0, 3))
def test_the_stream_can_be_entered_anywhere(length, start, count, seed):
    whole = list(ShuffledStream(length, seed, 0, start + count))
    part = ShuffledStream(length, seed, start, start + count)
    assert list(part) == whole[start:]
    assert len(part) == count


@given(st.integers(1, 50), st.integers(0, 5))
def test_each_pass_draws_every_case_once(length, seed):
    draws = list(ShuffledStream(length, seed, 0, 3 * length))
    for epoch in range(3):
        one_pass = draws[epoch * length : (epoch + 1) * length]
        assert {draw.epoch for draw in one_pass} == {epoch}
        assert sorted(draw.index for draw in one_pass) == list(range(length))


def test_passes_and_seeds_have_orders_of_their_own():
    orders = [
        tuple(draw.index for draw in ShuffledStream(30, seed, 30 * epoch, 30 * epoch + 30))
        for seed in range(3)
        for epoch in range(3)
    ]
    assert len({*orders, tuple(range(30))}) == 10


def test_batches_do_not_depend_on_the_number_of_workers(augmented, capfd):
    alone = list(training_loader(augmented, 4, seed=1, start=0, stop=26, workers=0, pin=False))
    assert [len(batch.ids) for batch in alone] == [4] * 6 + [2]
    for workers in (1, 2):
        shared = list(training_loader(augmented, 4, seed=1, start=0, stop=26, workers=workers, pin=True))
        assert all(same(*both) for both in zip(alone, shared, strict=True))
    assert capfd.readouterr() == ("", "")


def test_going_on_in_mid_pass_gives_the_batches_that_would_have_come(augmented):
    whole = list(training_loader(augmented, 4, seed=1, start=0, stop=32, workers=0, pin=False))
    rest = list(training_loader(augmented, 4, seed=1, start=12, stop=32, workers=1, pin=False))
    assert all(same(*both) for both in zip(whole[3:], rest, strict=True))


def test_the_next_pass_shows_the_same_cases_changed_again(augmented):
    loader = training_loader(augmented, CASES, seed=1, start=0, stop=2 * CASES, workers=1, pin=False)
    first, second = list(loader)
    assert sorted(first.ids) == sorted(second.ids)
    places = [second.ids.index(name) for name in first.ids]
    assert not any(torch.equal(*both) for both in zip(first.image, second.image[places], strict=True))


def test_a_loader_iterated_again_gives_the_same_batches(augmented):
    loader = training_loader(augmented, 5, seed=1, start=3, stop=18, workers=1, pin=False)
    assert all(same(*both) for both in zip(list(loader), list(loader), strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_leaves_the_global_generators_alone(augmented, workers):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    list(training_loader(augmented, 4, seed=1, start=0, stop=8, workers=workers, pin=False))
    list(plain_loader(augmented, 4, workers=workers))
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


def test_the_plain_loader_gives_every_case_in_order(plain):
    batches = list(plain_loader(plain, 4, workers=1))
    assert [name for batch in batches for name in batch.ids] == plain.ids
    assert torch.equal(torch.cat([batch.mask for batch in batches])[7], plain[7].mask)


def test_more_workers_than_processors_are_not_started(plain):
    assert plain_loader(plain, 4, workers=10_000).num_workers < 10_000


def test_a_spawned_worker_gets_the_path_of_the_memory_maps_not_their_content(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (16, 128, 128, 3), np.uint8)
    images = memory_map(tmp_path / "images.npy", pixels)
    masks = memory_map(tmp_path / "masks.npy", pixels[..., 0] // 128)
    ids = [str(number) for number in range(16)]
    dataset = PairDataset(images, masks, ids, training_augmentation(True, 1, 1, 1, 1), seed=0)
    sent = pickle.dumps(dataset)
    received = pickle.loads(sent)
    assert len(sent) < images.nbytes / 5
    assert isinstance(received.images, np.memmap)
    np.testing.assert_array_equal(received.images, pixels)
    assert torch.equal(received[Draw(1, 2)].image, dataset[Draw(1, 2)].image)


@pytest.mark.parametrize("cut", [slice(1, 3), [3, 0]])
def test_a_part_of_a_memory_map_travels_as_that_part(plain, cut):
    part = PairDataset(plain.images[cut], plain.masks[cut], ["a", "b"], None, seed=0)
    received = pickle.loads(pickle.dumps(part))
    np.testing.assert_array_equal(received.images, part.images)
    np.testing.assert_array_equal(received.masks, part.masks)
