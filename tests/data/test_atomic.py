import os
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import atomic_folder, atomic_write


class InterruptedWriteError(Exception):
    pass


def write_half(path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise InterruptedWriteError


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(InterruptedWriteError):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    path = tmp_path / "file" / "table.csv"
    with pytest.raises(UserError, match=r"file.table\.csv cannot be written"), atomic_write(path):
        pass


def test_the_longest_name_a_folder_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"


def fill(path: Path, *, fail: bool = False) -> None:
    with atomic_folder(path) as building:
        building.joinpath("a").write_text(path.name)
        assert not path.exists()
        if fail:
            raise InterruptedWriteError


def test_a_folder_appears_when_the_block_ends_with_the_rights_of_any_new_folder(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        fill(tmp_path / "new" / "cache")
    finally:
        os.umask(old)
    assert (tmp_path / "new" / "cache" / "a").read_text() == "cache"
    assert (tmp_path / "new" / "cache").stat().st_mode & 0o777 == 0o750
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["cache"]


def test_a_block_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InterruptedWriteError):
        fill(tmp_path / "cache", fail=True)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_that_was_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    with atomic_folder(path) as building:
        building.joinpath("a").write_text("second")
        path.mkdir()
        path.joinpath("a").write_text("first")
    assert path.joinpath("a").read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(UserError, match=r"file.cache cannot be written"):
        fill(tmp_path / "file" / "cache")
