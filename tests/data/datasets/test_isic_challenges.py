from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.datasets.isic_challenges import CHALLENGES, find_isic2018
from mlffm_segdiff.data.files import decode_image, decode_mask
from mlffm_segdiff.data.splits import official_split
from mlffm_segdiff.data.table import find_pairs, read_cases

Write = Callable[[Path, Mapping[str, bytes]], None]
Encode = Callable[..., bytes]
IMAGES, MASKS = CHALLENGES[2018]["train"].images, CHALLENGES[2018]["train"].masks


def test_official_archives_packed_or_unpacked_give_the_pairs(isic2018: Path) -> None:
    cases = read_cases("isic2018", isic2018)
    assert [case.id for case in cases] == ["ISIC_0000001", "ISIC_0000002", "ISIC_0000010"]
    for case in cases:
        assert case.group == case.id
        assert case.image.name == f"{case.id}.jpg"
        assert case.mask.name == f"{case.id}_segmentation.png"
        assert decode_image(case.image.read(), "").shape[:2] == decode_mask(case.mask.read(), "").shape


def test_one_of_the_official_parts_may_be_given(isic2018: Path) -> None:
    for part in (IMAGES, MASKS, f"{IMAGES}.zip", f"{MASKS}.zip"):
        if (isic2018 / part).exists():
            assert read_cases("isic2018", isic2018 / part) == read_cases("isic2018", isic2018)


def test_other_tasks_next_to_it_are_not_mixed_in(isic2018: Path, write: Write) -> None:
    other = {"ISIC2018_Task3_Training_Input/ISIC_0024306.jpg": b"", "x/ISIC_0024306_segmentation.png": b""}
    write(isic2018, other)
    assert len(read_cases("isic2018", isic2018)) == 3


def test_a_lost_partner_is_kept_and_known(isic2018: Path, write: Write) -> None:
    write(isic2018, {f"{IMAGES}/ISIC_0000003.jpg": b"x", f"{MASKS}/ISIC_0000004_segmentation.png": b"x"})
    found = find_isic2018(isic2018)
    assert {case.id: case.mask for case in found.cases()}["ISIC_0000003"] is None
    assert found.masks_without_image() == ["ISIC_0000004"]


def test_errors_say_what_is_sought_where_and_what_to_download(tmp_path: Path, write: Write) -> None:
    with pytest.raises(UserError, match=rf"images .* in {tmp_path}; get {IMAGES}\.zip from https://"):
        read_cases("isic2018", tmp_path)
    write(tmp_path, {f"{IMAGES}/ISIC_0000003.jpg": b"x"})
    with pytest.raises(UserError, match=rf"masks .*get {MASKS}\.zip"):
        read_cases("isic2018", tmp_path)


def challenge(
    encoded: Encode, year: int, counts: dict[str, int], suffix: str = "_segmentation"
) -> dict[str, bytes]:
    """Files of the official archives with a few pairs in each part, below a folder for each archive."""
    files, number = {}, 0
    for part, count in counts.items():
        archive = CHALLENGES[year][part]
        for _ in range(count):
            key, number = f"ISIC_{number:07d}", number + 1
            files[f"{archive.images}/{key}.jpg"] = encoded(np.full((4, 5, 3), number, np.uint8), "JPEG")
            files[f"{archive.images}/{key}_superpixels.png"] = b""
            files[f"{archive.masks}/{key}{suffix}.png"] = encoded(np.eye(4, 5, dtype=np.uint8))
    return files


def test_the_official_numbers_are_those_of_the_challenges() -> None:
    """As https://challenge.isic-archive.com/data lists them."""
    numbers = {year: {name: part.pairs for name, part in parts.items()} for year, parts in CHALLENGES.items()}
    assert numbers == {
        2016: {"train": 900, "test": 379},
        2017: {"train": 2000, "val": 150, "test": 600},
        2018: {"train": 2594, "val": 100, "test": 1000},
    }


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("year", "counts", "split", "official"),
    [
        (2016, {"train": 20, "test": 3}, (18, 2, 3), 1279),
        (2016, {"test": 3}, (0, 0, 3), 379),
        (2017, {"train": 5, "val": 2, "test": 3}, (5, 2, 3), 2750),
        (2017, {"val": 2}, (0, 2, 0), 150),
        (2018, {"train": 5, "val": 2, "test": 3}, (5, 2, 3), 3694),
        (2018, {"train": 20, "test": 3}, (18, 2, 3), 3594),
        (2018, {"val": 2, "test": 3}, (0, 2, 3), 1100),
    ],
)
def test_official_parts_are_the_split(
    tmp_path: Path,
    write: Write,
    pack: Write,
    encoded: Encode,
    year: int,
    counts: dict[str, int],
    split: tuple[int, int, int],
    official: int,
    packed: bool,
) -> None:
    files = challenge(encoded, year, counts, "_Segmentation")
    if packed:
        for archive in {name.split("/")[0] for name in files}:
            pack(
                tmp_path / f"{archive}.zip",
                {name: data for name, data in files.items() if name.startswith(archive)},
            )
    else:
        write(tmp_path, files)
    found = find_pairs(f"isic{year}", tmp_path)
    cases = found.cases()
    assert len(cases) == sum(counts.values())
    assert all(case.mask is not None for case in cases)
    own = found.own_split()
    assert (len(own.train), len(own.val), len(own.test)) == split
    assert (found.official, found.ignored) == (official, len(cases))
    if "test" in counts:
        assert own.test == tuple(case.id for case in cases)[-3:]


@pytest.mark.parametrize("year", [2016, 2017])
def test_only_training_images_are_split_as_own_data(
    tmp_path: Path, write: Write, encoded: Encode, year: int
) -> None:
    write(tmp_path, challenge(encoded, year, {"train": 10}))
    own = find_pairs(f"isic{year}", tmp_path).own_split()
    assert (len(own.train), len(own.val), len(own.test)) == (7, 1, 2)


def test_the_packaged_list_splits_the_training_archive_of_2018(
    isic2018: Path, write: Write, encoded: Encode
) -> None:
    assert find_isic2018(isic2018).own_split() == official_split("isic2018")
    archive = CHALLENGES[2018]["val"]
    write(
        isic2018,
        {f"{archive.images}/ISIC_0012255.jpg": b"x", f"{archive.masks}/ISIC_0012255_segmentation.png": b""},
    )
    assert find_isic2018(isic2018).own_split() == official_split("isic2018")


def test_archives_unpacked_by_windows_and_macos_are_read(
    tmp_path: Path, write: Write, encoded: Encode
) -> None:
    files = challenge(encoded, 2017, {"train": 3, "test": 3})
    nested = {f"{name.split('/')[0]}/{name}": data for name, data in files.items()}
    write(tmp_path, {**nested, f"__MACOSX/{next(iter(files))}": b"", ".DS_Store": b"", "LICENSE.txt": b""})
    found = find_pairs("isic2017", tmp_path)
    assert len([case for case in found.cases() if case.mask]) == 6
    assert found.ignored == 6 + 3
    inner = tmp_path / CHALLENGES[2017]["test"].masks
    assert find_pairs("isic2017", inner / inner.name).cases() == found.cases()


def test_linked_parts_are_read_as_real_ones(tmp_path: Path, write: Write, encoded: Encode) -> None:
    write(tmp_path / "real", challenge(encoded, 2018, {"train": 3}))
    (tmp_path / "links").mkdir()
    for part in (IMAGES, MASKS):
        (tmp_path / "links" / part).symlink_to(tmp_path / "real" / part)
    for place in (tmp_path / "links", tmp_path / "links" / MASKS):
        cases = read_cases("isic2018", place)
        assert [case.id for case in cases if case.mask] == ["ISIC_0000000", "ISIC_0000001", "ISIC_0000002"]
