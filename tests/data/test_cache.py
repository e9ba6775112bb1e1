import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.cache import (
    CacheUse,
    cache_root,
    cache_use,
    open_cache,
    resize_image,
    resize_mask,
)
from mlffm_segdiff.data.files import decode_image, decode_mask
from mlffm_segdiff.data.table import read_cases

Write = Callable[[Path, Mapping[str, bytes]], None]
Encode = Callable[..., bytes]


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=23)), st.integers(1, 9))
def test_a_mask_pixel_is_lesion_where_lesion_covers_half_its_area(mask: np.ndarray, size: int) -> None:
    def overlaps(length: int) -> np.ndarray:
        edges = np.arange(size + 1) * length / size
        low = np.maximum(edges[:-1, None], np.arange(length))
        high = np.minimum(edges[1:, None], np.arange(length) + 1)
        return np.maximum(high - low, 0) * size / length

    coverage = overlaps(mask.shape[0]) @ mask @ overlaps(mask.shape[1]).T
    assert (resize_mask(mask, size) == (coverage >= 0.5 - 1e-9)).all()


def test_an_image_is_resized_as_torch_does_with_antialiasing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (53, 71, 3), dtype=np.uint8)
    source = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    theirs = torch.nn.functional.interpolate(source, (16, 16), mode="bilinear", antialias=True)
    assert np.abs(resize_image(image, 16) - theirs[0].permute(1, 2, 0).numpy()).max() <= 1.5


def test_the_cache_holds_the_resized_pairs_in_the_order_requested(own_folder: Path, tmp_path: Path) -> None:
    cases = read_cases("folder", own_folder)[::-1]
    pairs = open_cache(cases, 8, tmp_path / "cache")
    assert pairs.ids == ("c", "b", "a")
    for index, case in enumerate(cases):
        image, mask = decode_image(case.image.read(), ""), decode_mask(case.mask.read(), "")
        assert (pairs.images[index] == resize_image(image, 8)).all()
        assert (pairs.masks[index] == resize_mask(mask, 8)).all()
    for array in (pairs.images, pairs.masks):
        assert isinstance(array, np.memmap)
        assert array.dtype == np.uint8
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_second_opening_decodes_nothing(isic2018: Path, tmp_path: Path) -> None:
    cases = read_cases("isic2018", isic2018)
    calls: list[tuple[int, int]] = []
    for _ in range(2):
        open_cache(cases, 8, tmp_path / "cache", lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir())


def test_another_size_order_or_content_is_another_cache(
    own_folder: Path, tmp_path: Path, encoded: Encode
) -> None:
    root = tmp_path / "cache"
    cases = read_cases("folder", own_folder)
    first = open_cache(cases, 8, root).masks.copy()
    open_cache(cases, 9, root)
    open_cache(cases[:2], 8, root)
    open_cache(cases[::-1], 8, root)
    assert len(folders(root)) == 4
    (own_folder / "masks" / "a.png").write_bytes(encoded(np.full((12, 16), 255, np.uint8)))
    changed = open_cache(read_cases("folder", own_folder), 8, root).masks
    assert len(folders(root)) == 5
    assert changed[0].all()
    assert (changed[1:] == first[1:]).all()


def test_a_changed_archive_is_another_cache(tmp_path: Path, pack: Write, encoded: Encode) -> None:
    for level in (10, 200):
        image = encoded(np.full((8, 8, 3), level, np.uint8), "BMP")
        mask = encoded(np.eye(8, dtype=np.uint8) * 255, "BMP")
        pack(tmp_path / "p.zip", {"IMD002.bmp": image, "IMD002_lesion.bmp": mask})
        pairs = open_cache(read_cases("ph2", tmp_path / "p.zip"), 4, tmp_path / "cache")
        assert (pairs.images == level).all()


def test_the_place_of_the_cache_can_be_chosen(
    own_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path / "chosen"))
    open_cache(read_cases("folder", own_folder), 4)
    assert len(folders(tmp_path / "chosen")) == 1
    monkeypatch.delenv("MLFFM_SEGDIFF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert cache_root() == tmp_path / "xdg" / "mlffm-segdiff"
    assert cache_root().name == "mlffm-segdiff"


def test_unusable_cases_are_named_and_nothing_is_left(own_folder: Path, tmp_path: Path, write: Write) -> None:
    root = tmp_path / "cache"
    write(
        own_folder, {"images/d.png": b"", "masks/d.png": b"", "images/e.png": b"no image", "masks/e.png": b""}
    )
    with pytest.raises(
        UserError, match=r"2 of 5 cases .*d\.png is empty.*e\.png is not.*mlffm-segdiff data check"
    ):
        open_cache(read_cases("folder", own_folder), 8, root)
    assert folders(root) == []


def test_a_mask_of_another_size_is_refused(own_folder: Path, tmp_path: Path, encoded: Encode) -> None:
    (own_folder / "masks" / "a.png").write_bytes(encoded(np.eye(10, dtype=np.uint8) * 255))
    with pytest.raises(UserError, match=r"1 of 3 cases .*\(a: image 16x12, mask 10x10\).*segdiff data check"):
        open_cache(read_cases("folder", own_folder), 8, tmp_path / "cache")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space cannot be reserved here")
def test_a_disk_that_is_full_is_a_user_error_before_anything_is_written(
    own_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def full(file: int, offset: int, length: int) -> None:
        asked.append((offset, length - os.fstat(file).st_size))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"cannot be written .*No space left on device.*free disk space"):
        open_cache(read_cases("folder", own_folder), 8, tmp_path / "cache")
    assert asked == [(0, 0)]
    assert folders(tmp_path / "cache") == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space cannot be reserved here")
def test_a_file_system_that_cannot_reserve_space_is_used_anyway(
    own_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unable)
    assert len(open_cache(read_cases("folder", own_folder), 8, tmp_path / "cache").images) == 3


def test_cases_without_mask_and_no_cases_are_user_errors(
    own_folder: Path, tmp_path: Path, write: Write
) -> None:
    write(own_folder, {f"images/{name}.png": b"" for name in "defgh"})
    with pytest.raises(UserError, match=r"5 of 8 cases .*\(d: no mask; e: no mask; f: no mask and 2 more\)"):
        open_cache(read_cases("folder", own_folder), 8, tmp_path)
    with pytest.raises(UserError, match="no cases"):
        open_cache([], 8, tmp_path)


def test_a_damaged_cache_is_a_user_error_that_names_what_to_delete(own_folder: Path, tmp_path: Path) -> None:
    cases = read_cases("folder", own_folder)
    open_cache(cases, 8, tmp_path / "cache")
    (folder,) = folders(tmp_path / "cache")
    (folder / "images.npy").write_bytes(b"")
    with pytest.raises(UserError, match=rf"{folder} cannot be used .*delete it"):
        open_cache(cases, 8, tmp_path / "cache")


RACER = """
import sys, time
from pathlib import Path
from mlffm_segdiff.data.cache import open_cache
from mlffm_segdiff.data.table import read_cases

own, root, me, other = map(Path, sys.argv[1:])

def wait_for_the_other(done, total):
    me.touch()
    while not other.exists():
        time.sleep(0.01)

pairs = open_cache(read_cases("folder", own), 8, root, wait_for_the_other)
print(int(pairs.images.sum()), int(pairs.masks.sum()), *pairs.ids)
"""


def test_two_processes_that_build_at_once_both_get_the_whole_cache(own_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "cache"
    marks = [str(tmp_path / "first"), str(tmp_path / "second")]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(own_folder), str(root), me, other],
            stdout=subprocess.PIPE,
            text=True,
        )
        for me, other in (marks, marks[::-1])
    ]
    results = [racer.communicate(timeout=60)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    pairs = open_cache(read_cases("folder", own_folder), 8, tmp_path / "single")
    expected = f"{pairs.images.sum()} {pairs.masks.sum()} a b c\n"
    assert results == [expected, expected]
    assert len(folders(root)) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from mlffm_segdiff.data.cache import open_cache
from mlffm_segdiff.data.table import read_cases

own, root = map(Path, sys.argv[1:])
open_cache(read_cases("folder", own), 8, root, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_killed_build_leaves_no_cache_and_the_next_build_sweeps_its_remains(
    own_folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "cache"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(own_folder), str(root)], check=False)
    assert killed.returncode == -9
    (remains,) = folders(root)
    assert len(open_cache(read_cases("folder", own_folder), 8, root).images) == 3
    assert not remains.exists()
    assert len(folders(root)) == 1


def test_use_counts_entries_and_their_bytes(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    assert cache_use(root) == CacheUse(root, 0, 0, None)
    (root / "one").mkdir(parents=True)
    (root / "one" / "a").write_bytes(b"123")
    (root / "b").write_bytes(b"45")
    found = cache_use(root)
    assert (found.folder, found.entries, found.size) == (root, 2, 5)
    assert found.free is not None
    assert 0 < found.free < shutil.disk_usage(root).total


def test_a_pair_of_which_exif_turns_one_is_refused_with_the_cause(
    own_folder: Path, encoded: Encode, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = own_folder / "images" / "a.png"
    path.write_bytes(encoded(np.asarray(Image.open(path)), exif=exif))
    with pytest.raises(UserError, match=r"1 of 3 .*a: image 12x16, mask 16x12, because EXIF orientation"):
        open_cache(read_cases("folder", own_folder), 8, tmp_path / "cache")


def test_masks_of_gray_values_are_marked(own_folder: Path, encoded: Encode, tmp_path: Path) -> None:
    mask = np.zeros((12, 16), np.uint8)
    mask[2:9, 3:12], mask[2, 3:12] = 255, 128
    (own_folder / "masks" / "b_mask.png").write_bytes(encoded(mask))
    for _ in range(2):
        pairs = open_cache(read_cases("folder", own_folder), 8, tmp_path / "cache")
        assert pairs.soft.tolist() == [False, True, False]
