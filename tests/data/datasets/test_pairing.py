import re
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Case, Entry
from mlffm_segdiff.data.datasets.pairing import Pairing, by_id, find_entries, outer_folder, within


def test_cases_are_sorted_and_keep_images_without_mask():
    a, b, mask, stray = (Entry(Path(name)) for name in ("a.jpg", "b.jpg", "b.png", "c.png"))
    pairing = Pairing({"b": b, "a": a}, {"b": mask, "c": stray}, {"b": "patient"})
    assert pairing.cases() == [Case("a", a, None, "a"), Case("b", b, mask, "patient")]
    assert pairing.masks_without_image() == ["c"]


def test_entries_come_from_folders_first_then_archives_without_hidden_ones(tmp_path, write, pack):
    pack(tmp_path / "a.zip", {"in/x": b"1", "__MACOSX/in/._x": b"2", "in/.hidden": b"3", "empty/": b""})
    write(tmp_path, {"sub/y": b"4", ".git/z": b"5", "sub/.DS_Store": b"6", "__MACOSX/y": b"7"})
    assert find_entries(tmp_path) == [Entry(tmp_path / "sub" / "y"), Entry(tmp_path / "a.zip", "in/x")]
    assert find_entries(tmp_path / "a.zip") == [Entry(tmp_path / "a.zip", "in/x")]


def test_an_absent_folder_and_a_broken_archive_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        find_entries(tmp_path / "nowhere")
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError, match=r"half\.zip cannot be read as a zip archive"):
        find_entries(tmp_path)


def test_the_first_entry_of_an_id_wins_and_other_names_are_skipped():
    entries = [Entry(Path(name)) for name in ("x/IMD1.bmp", "y/IMD1.bmp", "IMD1_lesion.bmp", "readme.txt")]
    assert by_id(entries, re.compile(r"(IMD\d+)\.bmp")) == {"IMD1": entries[0]}


def test_within_looks_below_the_root_only():
    root = Path("/data/Images")
    entries = [Entry(root / "Images_1" / "a"), Entry(root / "IMAGES.zip", "a"), Entry(root / "other" / "a")]
    assert within(entries, root, "images") == entries[:2]


def test_the_outer_folder_is_found_from_an_inner_one_however_deep(tmp_path):
    inner = tmp_path / "Part" / "Part"
    inner.mkdir(parents=True)
    assert outer_folder(inner, ("Part",)) == tmp_path
    assert outer_folder(tmp_path / "Part.zip", ("Part",)) == tmp_path
    assert outer_folder(tmp_path, ("Part",)) == tmp_path
