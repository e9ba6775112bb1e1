import os
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import StoppedError, UserError, partly_written
from mlffm_segdiff.files.results_folder import remove_results, require_own, require_own_file


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="is a file, not a folder"):
        require_own(tmp_path / "out", [], [])


def test_only_listed_files_may_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    require_own(tmp_path, ["a", "b", "n" * 300], ["a"])
    for name in ("a", "link"):
        with pytest.raises(UserError, match=f"{name} exists, but no earlier run wrote it"):
            require_own(tmp_path, ["b", name], [])


def test_files_and_empty_subfolders_are_removed_and_nothing_outside(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for name in ("a", "one/b", "two/deep/c", "two/mine"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    (tmp_path / "outside").write_text("")
    outside = (os.fspath(tmp_path / "outside"), "../outside", "one/../../outside")
    remove_results(folder, ["a", "one/b", "two/deep/c", "absent/d", "a/below", *outside])
    assert sorted(path.name for path in folder.rglob("*")) == ["mine", "two"]
    assert (tmp_path / "outside").exists()


def test_what_cannot_be_removed_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match=r"a of an earlier run cannot be removed \(.*\); choose another"):
        remove_results(tmp_path, ["a"])


def test_an_error_after_the_first_file_is_told_from_one_before() -> None:
    with pytest.raises(StoppedError, match="the disk is full") as caught, partly_written():
        raise UserError("the disk is full; free space")
    assert caught.value.fix == "free space"


def test_a_single_file_is_replaced_only_if_it_starts_as_those_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "own.md").write_text("# Plan of 7 images")
    (tmp_path / "other.md").write_text("# Plans")
    for name in ("new.md", "own.md"):
        require_own_file(tmp_path / name, "# Plan of ")
    with pytest.raises(UserError, match=r"other\.md exists, but no earlier run wrote it"):
        require_own_file(tmp_path / "other.md", "# Plan of ")
