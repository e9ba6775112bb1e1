import zipfile
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data import case
from mlffm_segdiff.data.case import MAX_BYTES, Entry
from mlffm_segdiff.inference.reading.image_source import (
    LONGEST_MEMBER,
    Source,
    case_name,
    first_bytes,
    read_source,
)
from mlffm_segdiff.inference.reading.packed import ParquetImage
from mlffm_segdiff.inference.reading.remote import RemoteFile


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("in/x.png", b"abcdef")
    return path


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (Path("photos/lesion.v2.png"), "lesion.v2"),
        (Path("photos/lesion"), "lesion"),
        (Path("1.2.840.113619.2"), "1.2.840.113619.2"),
        (Path("a:b?.png"), "a:b?"),
        (Entry(Path("a.zip"), "../../etc/x.png"), "x"),
        (Entry(Path("a.zip"), "in/a:b|c.png"), "a_b_c"),
        (Entry(Path("a.zip"), "in\\evil\\x.jpg"), "x"),
        (RemoteFile("s3://bucket/folder/lesion 1.jpg"), "lesion 1"),
        (RemoteFile("https://host/a%20b.jpg?token=x.y/z"), "a b"),
        (RemoteFile("https://host/..%2F..%2Fx.jpg"), "x"),
        (Entry(Path("a.zip"), "in/CON.png"), "_CON"),
        (Entry(Path("a.zip"), "nul.v2.png"), "_nul.v2"),
        (Entry(Path("a.zip"), "console.png"), "console"),
        (Path("CON.png"), "CON"),
        (RemoteFile("zip://in/x.png::https://host/a.zip?token=1"), "x"),
        (RemoteFile("zip://x.png::https://host/a.zip?token=1"), "x"),
        (RemoteFile("zip://a#1?.png::s3://bucket/a.zip"), "a#1_"),
        (RemoteFile("s3://bucket/in/a#1%20.png"), "a#1%20"),
        (RemoteFile("HTTPS://host/a.jpg?token=x.y/z"), "a"),
        (ParquetImage(Path("HAM.2018.parquet"), "image", 0, 1, 1), "HAM.2018-000000001"),
    ],
)
def test_a_case_has_its_files_name_without_what_another_system_refuses(source: Source, name: str) -> None:
    assert case_name(source) == name


@pytest.mark.parametrize("letter", ["x", "é", "皮"])
def test_a_long_name_is_cut_between_letters(letter: str) -> None:
    member, other = (case_name(Entry(Path("a.zip"), f"{letter * 300}{end}.png")) for end in ("", "y"))
    assert LONGEST_MEMBER - 3 < len(member.encode()) <= LONGEST_MEMBER
    assert set(member[:-9]) == {letter}
    assert member != other


def test_a_files_name_is_cut_only_if_an_output_could_not_have_it() -> None:
    assert case_name(Path("n" * 246 + ".png")) == "n" * 246
    without_ending = case_name(Path("n" * 254))
    assert len(f"{without_ending}_0000.png") == 255
    assert without_ending != case_name(Path("n" * 255))


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    shown = str(RemoteFile("zip://in/x.png::https://anna:secret@host:8/a.zip?X-Amz-Signature=secret#secret"))
    assert shown == "zip://in/x.png::https://host:8/a.zip"
    assert str(RemoteFile("HTTPS://anna:secret@host/a.png?secret")) == "HTTPS://host/a.png"
    assert str(RemoteFile("sftp://anna:secret@host/a#1?.png")) == "sftp://host/a#1?.png"
    assert str(RemoteFile("zip://photo@2x.png::s3://b/a.zip")) == "zip://photo@2x.png::s3://b/a.zip"


def test_files_and_members_are_read_whole_and_from_the_start(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"abcdef")
    assert read_source(tmp_path / "x.png") == b"abcdef"
    member = Entry(archive, "in/x.png")
    assert read_source(member) == b"abcdef"
    assert [first_bytes(one, 3) for one in (member, Entry(tmp_path / "x.png"))] == [b"abc"] * 2
    assert first_bytes(Entry(tmp_path / "absent"), 3) == first_bytes(Entry(archive, "absent"), 3) == b""


def test_what_is_not_there_is_named(tmp_path: Path, archive: Path) -> None:
    for source in (tmp_path / "absent.png", Entry(archive, "absent.png")):
        with pytest.raises(UserError, match=r"absent\.png cannot be read"):
            read_source(source)


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.bmp"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # takes no space on the disk
    with pytest.raises(UserError, match=r"huge\.bmp is over 1 GiB; save it as PNG"):
        read_source(path)


def test_so_is_a_member_that_unpacks_to_too_much(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case, "MAX_BYTES", 5)
    with pytest.raises(UserError, match=r"in/x\.png is over"):
        read_source(Entry(archive, "in/x.png"))
