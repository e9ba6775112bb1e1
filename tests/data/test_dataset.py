"""The data set, the stream of draws and the loaders: the same batches for any reader."""

import multiprocessing
import os
import pickle
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from mlffm_segdiff.data.augment import training_augmentation
from mlffm_segdiff.data.batch import ONLY, Batch, Pair, Replica
from mlffm_segdiff.data.dataset import (
    Draw,
    PairDataset,
    Share,
    ShuffledStream,
    plain_loader,
    training_loader,
)
from mlffm_segdiff.data.distance import signed_distance

Mix = tuple[tuple[int, float], ...]
CASES, SIDE = 10, 24
PATTERN = ShuffledStream.PATTERN


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
def augmented(tmp_path: Path) -> PairDataset:
    return pairs_in(tmp_path, augmented=True)


@pytest.fixture
def plain(tmp_path: Path) -> PairDataset:
    return pairs_in(tmp_path, augmented=False)


def shares_of(*parts: tuple[int, float]) -> list[Share]:
    """Shares of these numbers of images, numbered through, and with these shares of the draws."""
    ends = np.cumsum([count for count, _ in parts])
    return [
        Share(range(int(end) - count, int(end)), share)
        for end, (count, share) in zip(ends, parts, strict=True)
    ]


def all_of(length: int) -> list[Share]:
    return [Share(range(length), 1.0)]


def loader(
    dataset: PairDataset, batch_size: int, start: int, stop: int, workers: int, **given: object
) -> DataLoader[Pair]:
    """The training loader of all cases, seed 1."""
    shares = given.get("shares", all_of(len(dataset)))
    stream = ShuffledStream(shares, 1, start, stop)
    return training_loader(dataset, stream, batch_size, workers, bool(given.get("pin")))


def same(left: Batch, right: Batch) -> bool:
    tensors = zip(left[:3], right[:3], strict=True)
    return left[3:] == right[3:] and all(torch.equal(one, other) for one, other in tensors)


def test_a_plain_item_is_the_cached_pair_in_its_units(plain: PairDataset) -> None:
    item = plain[3]
    assert item.id == "case3"
    np.testing.assert_allclose(item.image, plain.images[3].transpose(2, 0, 1) / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(item.mask[0], np.where(plain.masks[3], 1.0, -1.0))
    np.testing.assert_array_equal(item.distance[0], signed_distance(plain.masks[3] == 1))
    assert {field.dtype for field in item[:3]} == {torch.float32}
    assert all(field.is_contiguous() for field in item[:3])


def test_an_augmented_item_has_two_mask_values_its_own_distance_and_an_image_in_range(
    augmented: PairDataset,
) -> None:
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
def test_the_stream_can_be_entered_anywhere(length: int, start: int, count: int, seed: int) -> None:
    whole = list(ShuffledStream(all_of(length), seed, 0, start + count))
    part = ShuffledStream(all_of(length), seed, start, start + count)
    assert list(part) == whole[start:]
    assert len(part) == count


@given(st.integers(1, 50), st.integers(0, 5))
def test_each_pass_draws_every_case_once(length: int, seed: int) -> None:
    draws = list(ShuffledStream(all_of(length), seed, 0, 3 * length))
    for epoch in range(3):
        one_pass = draws[epoch * length : (epoch + 1) * length]
        assert {draw.epoch for draw in one_pass} == {epoch}
        assert sorted(draw.index for draw in one_pass) == list(range(length))


def test_passes_and_seeds_have_orders_of_their_own() -> None:
    orders = [
        tuple(draw.index for draw in ShuffledStream(all_of(30), seed, 30 * epoch, 30 * epoch + 30))
        for seed in range(3)
        for epoch in range(3)
    ]
    assert len({*orders, tuple(range(30))}) == 10


MIXES = [
    ((7, 0.5), (3, 0.5)),
    ((7, 0.612), (3, 0.388)),
    ((1500, 0.25), (2, 0.75)),
    ((4, 0.001), (5, 0.999)),
    ((6, 1 / 3), (5, 1 / 3), (4, 1 / 3)),
    ((6, 0.12), (5, 0.29), (4, 0.59)),
]


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("seed", [0, 5])
def test_each_share_has_its_number_of_draws_in_every_thousand(mix: Mix, seed: int) -> None:
    """Thirds are 333.3, so one of them occurs once more, always the same one."""
    shares = shares_of(*mix)
    draws = list(ShuffledStream(shares, seed, 0, 4 * PATTERN))
    blocks = [draws[at : at + PATTERN] for at in range(0, len(draws), PATTERN)]
    found = [[sum(draw.index in share.indices for draw in block) for share in shares] for block in blocks]
    assert found == [found[0]] * 4
    assert sum(found[0]) == PATTERN
    exact = [PATTERN * share for _, share in mix]
    if all(abs(count - round(count)) < 1e-6 for count in exact):
        assert found[0] == [round(count) for count in exact]
    assert max(abs(count - wanted) for count, wanted in zip(found[0], exact, strict=True)) < 1


@pytest.mark.parametrize("mix", MIXES)
def test_within_a_share_each_pass_draws_every_image_once(mix: Mix) -> None:
    shares = shares_of(*mix)
    draws = list(ShuffledStream(shares, 3, 0, 4 * PATTERN))
    orders = set()
    for share in shares:
        own = [draw for draw in draws if draw.index in share.indices]
        for epoch in range(len(own) // len(share.indices)):
            one = own[epoch * len(share.indices) : (epoch + 1) * len(share.indices)]
            assert {draw.epoch for draw in one} == {epoch}
            assert sorted(draw.index for draw in one) == list(share.indices)
            orders.add(tuple(draw.index - share.indices[0] for draw in one))
    assert len(orders) > 1


@given(
    st.sampled_from(MIXES),
    st.integers(0, 3 * PATTERN),
    st.sampled_from([0, 1, 7, PATTERN - 1, PATTERN, PATTERN + 1]),
    st.integers(0, 3),
)
def test_a_mixed_stream_can_be_entered_anywhere(mix: Mix, start: int, count: int, seed: int) -> None:
    shares = shares_of(*mix)
    whole = list(ShuffledStream(shares, seed, 0, start + count))
    part = ShuffledStream(shares, seed, start, start + count)
    assert list(part) == whole[start:]
    assert list(part) == whole[start:]  # and again
    assert (len(part), len(whole)) == (count, start + count)


def test_blocks_and_seeds_have_patterns_of_their_own() -> None:
    shares = shares_of((1, 0.5), (1, 0.5))
    patterns = {
        tuple(draw.index for draw in ShuffledStream(shares, seed, PATTERN * block, PATTERN * (block + 1)))
        for seed in range(3)
        for block in range(3)
    }
    assert len(patterns) == 9
    for pattern in patterns:  # shuffled: of 999 neighbours about half differ
        assert 400 < sum(one != other for one, other in pairwise(pattern)) < 600


def test_one_share_is_plain_shuffled_passes() -> None:
    """The passes of a share do not depend on the other shares."""
    (share,) = all_of(30)
    plain = list(ShuffledStream([share], 4, 0, 90))
    mixed = ShuffledStream([Share(share.indices, 0.5), Share(range(30, 32), 0.5)], 4, 0, 400)
    own = [draw for draw in mixed if draw.index < 30]
    assert own[:90] == plain


def test_two_shares_of_one_size_have_orders_of_their_own() -> None:
    draws = list(ShuffledStream(shares_of((30, 0.5), (30, 0.5)), 0, 0, PATTERN))
    one, other = ([draw.index % 30 for draw in draws if draw.index // 30 == n][:30] for n in (0, 1))
    assert sorted(one) == sorted(other)
    assert one != other


def test_shares_need_not_be_contiguous() -> None:
    draws = list(ShuffledStream([Share([8, 2, 5], 0.25), Share([1], 0.75)], 0, 0, PATTERN))
    counts = {index: sum(draw.index == index for draw in draws) for index in (8, 2, 5, 1)}
    assert sum(counts[index] for index in (8, 2, 5)) == 250
    assert counts[1] == 750
    assert {counts[index] for index in (8, 2, 5)} == {83, 84}


def test_a_style_stays_with_its_case(tmp_path: Path) -> None:
    plain = pairs_in(tmp_path, augmented=False)
    assert {plain[index].style for index in range(CASES)} == {""}
    styles = [f"style{number % 3}" for number in range(CASES)]
    dataset = PairDataset(plain.images, plain.masks, plain.ids, None, 4, styles)
    for batch in loader(dataset, 4, 0, 26, 1, shares=shares_of((3, 0.5), (7, 0.5))):
        assert list(batch.styles) == [styles[int(name.removeprefix("case"))] for name in batch.ids]
    assert pickle.loads(pickle.dumps(dataset))[5].style == "style2"


def test_a_mixed_loader_reads_its_shares_and_resumes(plain: PairDataset) -> None:
    shares = shares_of((2, 0.7), (8, 0.3))
    whole = list(loader(plain, 4, 0, 400, 0, shares=shares))
    rest = list(loader(plain, 4, 120, 400, 1, shares=shares))
    assert all(same(*both) for both in zip(whole[30:], rest, strict=True))
    ids = [name for batch in whole for name in batch.ids]
    assert sum(name in {"case0", "case1"} for name in ids) / 400 == pytest.approx(0.7, abs=0.07)


def test_batches_do_not_depend_on_the_number_of_workers(
    augmented: PairDataset, capfd: pytest.CaptureFixture[str]
) -> None:
    alone = list(loader(augmented, 4, 0, 26, 0))
    assert [len(batch.ids) for batch in alone] == [4] * 6 + [2]
    for workers in (1, 2):
        shared = list(loader(augmented, 4, 0, 26, workers, pin=True))
        assert all(same(*both) for both in zip(alone, shared, strict=True))
    assert capfd.readouterr() == ("", "")


def test_resuming_within_a_pass_gives_the_same_batches(augmented: PairDataset) -> None:
    whole = list(loader(augmented, 4, 0, 32, 0))
    rest = list(loader(augmented, 4, 12, 32, 1))
    assert all(same(*both) for both in zip(whole[3:], rest, strict=True))


def test_the_next_pass_shows_the_same_cases_changed_again(augmented: PairDataset) -> None:
    first, second = list(loader(augmented, CASES, 0, 2 * CASES, 1))
    assert sorted(first.ids) == sorted(second.ids)
    places = [second.ids.index(name) for name in first.ids]
    assert not any(torch.equal(*both) for both in zip(first.image, second.image[places], strict=True))


def test_a_loader_iterated_again_gives_the_same_batches(augmented: PairDataset) -> None:
    batches = loader(augmented, 5, 3, 18, 1)
    assert all(same(*both) for both in zip(list(batches), list(batches), strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_does_not_use_the_global_generators(augmented: PairDataset, workers: int) -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    list(loader(augmented, 4, 0, 8, workers))
    list(plain_loader(augmented, 4, workers=workers))
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


def test_the_plain_loader_gives_every_case_in_order(plain: PairDataset) -> None:
    batches = list(plain_loader(plain, 4, workers=1))
    assert [name for batch in batches for name in batch.ids] == plain.ids
    assert torch.equal(torch.cat([batch.mask for batch in batches])[7], plain[7].mask)


def test_more_workers_than_processors_are_not_started(plain: PairDataset) -> None:
    assert plain_loader(plain, 4, workers=10_000).num_workers < 10_000


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_worker_that_another_process_terminates_ends_quietly(plain: PairDataset) -> None:
    """As ``timeout`` and schedulers do, with the main process, which then stops the training."""
    batches = iter(plain_loader(plain, 1, workers=1))
    next(batches)
    (worker,) = multiprocessing.active_children()
    terminate = f"import os, signal; os.kill({worker.pid}, signal.SIGTERM)"
    subprocess.run([sys.executable, "-c", terminate], check=True)
    worker.join(20)
    assert worker.exitcode == 0


def test_a_spawned_worker_gets_the_path_of_the_memory_maps_not_their_content(tmp_path: Path) -> None:
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
def test_a_part_of_a_memory_map_travels_as_that_part(plain: PairDataset, cut: slice | list[int]) -> None:
    part = PairDataset(plain.images[cut], plain.masks[cut], ["a", "b"], None, seed=0)
    received = pickle.loads(pickle.dumps(part))
    np.testing.assert_array_equal(received.images, part.images)
    np.testing.assert_array_equal(received.masks, part.masks)


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_have_the_images_of_a_batch_in_turn(plain: PairDataset, world_size: int) -> None:
    """As numpy deals out rows; both in training and in validation, where the last batch is smaller."""
    wholes, parts = (
        [
            (
                list(training_loader(plain, ShuffledStream(all_of(10), 1, 12, 24, one), 6, 0, False)),
                list(plain_loader(plain, 6, 0, one)),
            )
            for one in processes
        ]
        for processes in ([ONLY], [Replica(number, world_size) for number in range(world_size)])
    )
    for kind in (0, 1):
        whole = [name for batch in wholes[0][kind] for name in batch.ids]
        for number, part in enumerate(parts):
            assert [name for batch in part[kind] for name in batch.ids] == whole[number::world_size]
            assert all(batch.replica == (number, world_size) for batch in part[kind])
    assert [len(batch.ids) for batch in parts[0][0]] == [6 // world_size] * 2
