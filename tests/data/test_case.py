import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data import case
from mlffm_segdiff.data.case import Entry, open_archive

Write = Callable[[Path, Mapping[str, bytes]], None]


def test_an_entry_reads_a_file_and_an_archive_member_alike(tmp_path: Path, pack: Write) -> None:
    (tmp_path / "a.bin").write_bytes(b"content")
    pack(tmp_path / "z.zip", {"in/a.bin": b"content"})
    for entry in (Entry(tmp_path / "a.bin"), Entry(tmp_path / "z.zip", "in/a.bin")):
        assert entry.read() == b"content"
        assert entry.name == "a.bin"
    assert str(entry) == f"{tmp_path}/z.zip:in/a.bin"


def test_the_stamp_of_a_member_is_its_checksum_and_size(tmp_path: Path, pack: Write) -> None:
    pack(tmp_path / "z.zip", {"a": b"content"})
    assert Entry(tmp_path / "z.zip", "a").stamp() == f"{zlib.crc32(b'content'):08x}-7"


def test_a_rewritten_archive_is_read_again(tmp_path: Path, pack: Write) -> None:
    entry = Entry(tmp_path / "z.zip", "a")
    pack(entry.path, {"a": b"old"})
    old = (entry.read(), entry.stamp())
    pack(entry.path, {"a": b"newer"})
    assert old[0] == b"old"
    assert entry.read() == b"newer"
    assert entry.stamp() != old[1]


def test_the_stamp_of_a_file_changes_with_its_time_its_size_and_its_place(tmp_path: Path) -> None:
    first, second = Entry(tmp_path / "a"), Entry(tmp_path / "b")
    stamps = set()
    for entry, data, time in ((first, b"x", 1), (first, b"x", 2), (first, b"xy", 2), (second, b"xy", 2)):
        entry.path.write_bytes(data)
        os.utime(entry.path, ns=(0, time))
        stamps.add(entry.stamp())
    assert len(stamps) == 4


@pytest.mark.parametrize("member", [None, "a"])
def test_an_absent_file_is_a_user_error_that_names_it(tmp_path: Path, member: str | None) -> None:
    entry = Entry(tmp_path / "gone.zip", member)
    for action in (entry.read, entry.stamp):
        with pytest.raises(UserError, match=r"gone\.zip"):
            action()


def test_an_absent_member_and_a_damaged_one_are_user_errors(tmp_path: Path, pack: Write) -> None:
    path = tmp_path / "z.zip"
    pack(path, {"a": b"content"})
    with pytest.raises(UserError, match=r"z\.zip:b"):
        Entry(path, "b").read()
    path.write_bytes(path.read_bytes().replace(b"content", b"CONTENT"))
    with pytest.raises(UserError, match=r"z\.zip:a.*CRC"):
        Entry(path, "a").read()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_does_not_share_the_file_position(tmp_path: Path, pack: Write) -> None:
    members = {str(i): os.urandom(50_000) for i in range(40)}
    pack(tmp_path / "z.zip", members)
    assert Entry(tmp_path / "z.zip", "0").read() == members["0"]
    child = os.fork()
    wrong = sum(Entry(tmp_path / "z.zip", key).read() != data for key, data in members.items())
    if child == 0:
        os._exit(min(wrong, 1))
    assert os.waitpid(child, 0)[1] == 0
    assert wrong == 0


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["皮肤/病变1.png", "皮肤/痣.png"], "gbk"),
        (["图像.png"], "gbk"),
        (["患者のほくろ.png", "写真/ホクロ2.png"], "cp932"),
        (["病変.png"], "cp932"),
        (["läsion größe.png", "lésion.png", "naïve.png", "été.png"], "cp437"),
        (["病变.png", "läsion.png"], "utf-8"),
        (["lesion.png"], "ascii"),
    ],
)
def test_names_without_an_encoding_are_read_as_they_were_written(
    tmp_path: Path, names: list[str], encoding: str
) -> None:
    path = tmp_path / "z.zip"
    stored = [name.encode(encoding) for name in names]
    placeholders = [chr(65 + number) * len(name) for number, name in enumerate(stored)]
    with zipfile.ZipFile(path, "w") as archive:
        for placeholder in placeholders:
            archive.writestr(placeholder, placeholder.lower())
    data = path.read_bytes()
    for placeholder, name in zip(placeholders, stored, strict=True):  # zipfile itself would write UTF-8
        data = data.replace(placeholder.encode(), name)
    path.write_bytes(data)
    assert [info.filename for info in open_archive(path).infolist()] == names
    assert Entry(path, names[-1]).read() == placeholders[-1].lower().encode()


def test_a_member_is_read_in_pieces_to_its_end(
    tmp_path: Path, pack: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case, "PIECE_BYTES", 7)
    content = os.urandom(1000)
    pack(tmp_path / "z.zip", {"a": content})
    assert Entry(tmp_path / "z.zip", "a").read() == content


@pytest.mark.parametrize("member", [None, "a"])
def test_what_is_too_large_is_refused_by_its_size(
    tmp_path: Path, pack: Write, monkeypatch: pytest.MonkeyPatch, member: str | None
) -> None:
    pack(tmp_path / "z.zip", {"a": bytes(2000)})
    monkeypatch.setattr(case, "MAX_BYTES", 100)
    with pytest.raises(UserError, match=r"z\.zip.* is over"):
        Entry(tmp_path / "z.zip", member).read()


def test_backslashes_of_windows_separate_folders(tmp_path: Path, pack: Write) -> None:
    path = tmp_path / "z.zip"
    pack(path, {"images/deep/a.png": b"content"})
    path.write_bytes(path.read_bytes().replace(b"images/deep/a.png", b"images\\deep\\a.png"))
    (read,) = (info.filename for info in open_archive(path).infolist())
    entry = Entry(path, read)
    assert (read, entry.name, entry.read()) == ("images/deep/a.png", "a.png", b"content")
