import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.reading.listing import list_place, merged

DICOM = bytes(128) + b"DICM"


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def pack(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def found(place: str | Path) -> tuple[list[str], list[str]]:
    listed = list_place(place)
    return [image.name for image in listed.images], [other.name for other in listed.others]


def test_a_folder_gives_its_own_images_by_name_and_its_other_files(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "c.tiff", "d.heic", "notes.txt", "scan.dcm", ".hidden.png", "._a.png")
    touch(tmp_path, "Thumbs.db", "desktop.ini", ".DS_Store")
    touch(tmp_path, "e.zip")
    touch(tmp_path / "inner", "d.png")
    assert found(tmp_path) == (["a.png", "b.JPG", "c.tiff", "d.heic", "scan.dcm"], ["e.zip", "notes.txt"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_broken_link_is_an_image_that_cannot_be_read_and_a_pipe_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "not fetched.png")
    os.mkfifo(tmp_path / "c.png")
    assert found(tmp_path) == (["a.png", "b.png"], [])
    assert [image.name for image in list_place(tmp_path, recursive=True).images] == ["a.png", "b.png"]


def test_a_file_whose_path_is_written_in_two_ways_is_one_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "photos", "a.png", "b.png")
    monkeypatch.chdir(tmp_path / "photos")
    places = ("a.png", tmp_path / "photos" / "a.png", "../photos/b.png", ".")
    listed = merged([list_place(place) for place in places])
    assert [str(image) for image in listed.images] == ["a.png", "../photos/b.png"]


def test_links_to_one_image_and_a_folder_above_a_linked_one_are_images_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path / "photos", "a.png")
    touch(tmp_path / "elsewhere", "a.png")
    (tmp_path / "elsewhere" / "inner").mkdir()
    (tmp_path / "photos" / "b.png").symlink_to("a.png")
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "elsewhere" / "inner")
    above = tmp_path / "photos" / "link" / ".." / "a.png"  # the other a.png: the link is followed first
    listed = merged([list_place(place) for place in (tmp_path / "photos", above)])
    assert [image.name for image in listed.images] == ["a.png", "b.png", "a.png"]


def test_subfolders_are_searched_or_their_images_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    touch(tmp_path / "one", "b.png", "notes.txt")
    touch(tmp_path / "one" / "two", "c.jpg")
    touch(tmp_path / "__MACOSX", "d.png")
    touch(tmp_path / ".cache", "e.png")
    listed = list_place(tmp_path)
    assert [path.name for path in listed.nested] == ["b.png", "c.jpg"]
    deep = list_place(tmp_path, recursive=True)
    assert [image.name for image in deep.images] == ["a.png", "b.png", "c.jpg"]
    assert ([other.name for other in deep.others], deep.nested) == (["notes.txt"], ())


def test_a_dicom_export_needs_no_endings(tmp_path: Path) -> None:
    for name in ("IM0001", "1.2.840.7", "DICOMDIR", "plain.txt"):
        (tmp_path / name).write_bytes(DICOM)
    touch(tmp_path, "README", "1.2.840.8")
    images, others = found(tmp_path)
    assert images == ["1.2.840.7", "IM0001"]
    assert sorted(others) == ["1.2.840.8", "DICOMDIR", "README", "plain.txt"]


def test_a_file_is_taken_whatever_its_ending(tmp_path: Path) -> None:
    touch(tmp_path, "image.dat", "b.png", "odd[1].png")
    assert list_place(tmp_path / "image.dat").images == (tmp_path / "image.dat",)
    assert found(tmp_path / "odd[1].png") == (["odd[1].png"], [])


def test_an_archive_gives_the_images_of_all_its_folders(tmp_path: Path) -> None:
    members = {"b/y.png": b"", "a/x.jpg": b"", "notes.txt": b"", "__MACOSX/a/._x.jpg": b"", "IM1": DICOM}
    path = pack(tmp_path / "photos.ZIP", **members)
    assert found(path) == (["IM1", "x.jpg", "y.png"], ["notes.txt"])
    shown = [str(image) for image in list_place(path).images]
    assert shown == [f"{path}:{member}" for member in ("IM1", "a/x.jpg", "b/y.png")]


def test_a_pattern_gives_what_it_matches_also_in_folders_and_archives(tmp_path: Path) -> None:
    touch(tmp_path / "a", "x.png", "y.txt")
    touch(tmp_path / "a" / "deep", "z.jpg")
    touch(tmp_path / "b", "w.bmp")
    pack(tmp_path / "c.zip", **{"in/v.png": b""})
    assert found(f"{tmp_path}/a/*.p?g") == (["x.png"], [])
    assert found(f"{tmp_path}/**/*.[jb]*") == (["z.jpg", "w.bmp"], [])
    assert found(f"{tmp_path}/*") == (["x.png", "w.bmp", "v.png"], ["y.txt"])


def test_a_place_without_images_is_reported_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere cannot be read \(No such file"):
        list_place(tmp_path / "nowhere")
    touch(tmp_path, "notes.txt")
    with pytest.raises(UserError, match=r"no images directly in .*\.jpeg, \.jpg, \.png"):
        list_place(tmp_path)
    with pytest.raises(UserError, match=r"no images in .*\*\.png; their names must end in"):
        list_place(tmp_path / "*.png")
    with pytest.raises(UserError, match=r"no images in .*empty\.zip"):
        list_place(pack(tmp_path / "empty.zip"))
    (tmp_path / "broken.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"broken\.zip cannot be read as a zip archive"):
        list_place(tmp_path / "broken.zip")


def test_a_folder_of_folders_is_refused_with_one_to_give(tmp_path: Path) -> None:
    touch(tmp_path / "a", "notes.txt")
    touch(tmp_path / "b", "x.jpg")
    with pytest.raises(UserError, match=f"1 are in subfolders, .*--recursive.*, such as {tmp_path / 'b'}$"):
        list_place(tmp_path)


@pytest.fixture
def bucket() -> Iterator[Callable[..., str]]:
    system = fsspec.filesystem("memory")

    def fill(*names: str) -> str:
        for name in names:
            system.pipe(f"/listing/{name}", b"")
        return "memory://listing"

    yield fill
    system.rm("/listing", recursive=True)


def test_a_folder_elsewhere_is_as_one_here_and_a_file_is_taken_as_it_is(bucket: Callable[..., str]) -> None:
    place = bucket("b.png", "a.dcm", "notes.md", "in/c.png")
    assert found(place) == (["a.dcm", "b.png"], ["notes.md"])
    assert found(f"{place}/notes.md") == (["notes.md"], [])
    with pytest.raises(UserError, match=r"no images at memory://listing/\*\.txt"):
        list_place(f"{place}/*.txt")
