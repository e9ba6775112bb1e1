import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Case, Entry
from mlffm_segdiff.data.datasets.pairing import Pairing, by_id, find_entries, list_files, outer_folder, within
from mlffm_segdiff.data.splits import Split
from mlffm_segdiff.data.table import DATASETS, find_pairs

Write = Callable[[Path, Mapping[str, bytes]], None]


def test_cases_are_sorted_and_keep_images_without_mask() -> None:
    a, b, mask, stray = (Entry(Path(name)) for name in ("a.jpg", "b.jpg", "b.png", "c.png"))
    pairing = Pairing({"b": b, "a": a}, {"b": mask, "c": stray}, {"b": "patient"})
    assert pairing.cases() == [Case("a", a, None, "a"), Case("b", b, mask, "patient")]
    assert pairing.masks_without_image() == ["c"]


def test_entries_come_from_folders_first_then_archives_without_hidden_ones(
    tmp_path: Path, write: Write, pack: Write
) -> None:
    pack(tmp_path / "a.zip", {"in/x": b"1", "__MACOSX/in/._x": b"2", "in/.hidden": b"3", "empty/": b""})
    write(tmp_path, {"sub/y": b"4", ".git/z": b"5", "sub/.DS_Store": b"6", "__MACOSX/y": b"7"})
    assert find_entries(tmp_path) == [Entry(tmp_path / "sub" / "y"), Entry(tmp_path / "a.zip", "in/x")]
    assert find_entries(tmp_path / "a.zip") == [Entry(tmp_path / "a.zip", "in/x")]


def test_other_files_and_hidden_ones_are_counted(tmp_path: Path, write: Write, pack: Write) -> None:
    pack(tmp_path / "a.zip", {"in/x": b"1", "__MACOSX/in/._x": b"2", "LICENSE.txt": b"3"})
    write(tmp_path, {"sub/y": b"4", ".git/z": b"5", "sub/.DS_Store": b"6", "__MACOSX/y": b"7"})
    listing = list_files(tmp_path)
    assert (len(listing.entries), listing.hidden) == (3, 4)
    assert listing.without({"x": listing.entries[1]}, {"y": listing.entries[0]}) == 5
    assert [entry.name for entry in list_files(tmp_path, archives=False).entries] == ["y"]


def test_links_to_folders_files_and_archives_are_followed_and_loops_end(
    tmp_path: Path, write: Write, pack: Write
) -> None:
    real, root = tmp_path / "real", tmp_path / "root"
    write(real, {"one/a": b"1", "two/b": b"2"})
    pack(real / "z.zip", {"c": b"3"})
    root.mkdir()
    (root / "one").symlink_to(real / "one")
    (root / "b").symlink_to(real / "two" / "b")
    (root / "z.zip").symlink_to(real / "z.zip")
    (root / "loop").symlink_to(root)
    (real / "one" / "up").symlink_to(real)
    (real / "two" / "across").symlink_to(real / "one")
    (root / "gone").symlink_to(tmp_path / "nowhere")
    found = {str(entry.path.relative_to(root)): entry for entry in find_entries(root)}
    assert found["one/a"].read() == b"1"
    assert found["b"].read() == b"2"
    assert found["z.zip"].read() == b"3"
    assert found.keys() == {"one/a", "b", "z.zip", "gone"}
    with pytest.raises(UserError, match="gone cannot be read"):
        found["gone"].read()
    linked = ["one/a", "two/across/a", "two/b", "z.zip"]
    assert [str(entry.path.relative_to(real)) for entry in find_entries(real)] == linked


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    write(tmp_path, {"shut/a": b""})
    listed = os.scandir

    def refuse(path: str | Path) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"shut cannot be read \(Permission denied\)"):
        find_entries(tmp_path)


def test_without_a_split_of_its_own_a_data_set_is_split_by_group() -> None:
    images = {f"{n:02d}": Entry(Path("x")) for n in range(20)}
    split = Pairing(images, {}, {"00": "one", "01": "one"}).own_split()
    assert [len(part) for part in (split.train, split.val, split.test)] == [14, 2, 4]
    assert any({"00", "01"} <= set(part) for part in (split.train, split.val, split.test))
    own = Split(("00",), ("01",), ())
    assert Pairing(images, {}, split=own).own_split() is own
    with pytest.raises(UserError, match=r"2 group\(s\) cannot fill train, val, test"):
        Pairing(dict(list(images.items())[:2]), {}).own_split()


def test_an_absent_folder_and_a_broken_archive_are_user_errors(tmp_path: Path) -> None:
    for name in sorted(DATASETS.keys() - {"nnunet"}):  # which names the file that it needs
        with pytest.raises(UserError, match="nowhere does not exist; check the path"):
            find_pairs(name, tmp_path / "nowhere")
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError, match=r"half\.zip cannot be read as a zip archive"):
        find_entries(tmp_path)


def test_the_first_entry_of_an_id_wins_and_other_names_are_skipped() -> None:
    entries = [Entry(Path(name)) for name in ("x/IMD1.bmp", "y/IMD1.bmp", "IMD1_lesion.bmp", "readme.txt")]
    assert by_id(entries, re.compile(r"(IMD\d+)\.bmp")) == {"IMD1": entries[0]}


def test_within_looks_below_the_root_only() -> None:
    root = Path("/data/Images")
    entries = [Entry(root / "Images_1" / "a"), Entry(root / "IMAGES.zip", "a"), Entry(root / "other" / "a")]
    assert within(entries, root, "images") == entries[:2]


def test_the_outer_folder_is_found_from_an_inner_one_however_deep(tmp_path: Path) -> None:
    inner = tmp_path / "Part" / "Part"
    inner.mkdir(parents=True)
    assert outer_folder(inner, ("Part",)) == tmp_path
    assert outer_folder(tmp_path / "Part.zip", ("Part",)) == tmp_path
    assert outer_folder(tmp_path, ("Part",)) == tmp_path


def test_the_outer_folder_of_a_link_is_found_by_its_own_name_or_its_targets(tmp_path: Path) -> None:
    (tmp_path / "real" / "Part").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "part").symlink_to(tmp_path / "real")
    (tmp_path / "here" / "other").symlink_to(tmp_path / "real" / "Part")
    assert outer_folder(tmp_path / "here" / "part", ("Part",)) == tmp_path / "here"
    assert outer_folder(tmp_path / "here" / "other", ("Part",)) == tmp_path / "real"
