import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.reading import check_batch_size, find_images, read_picture

Photo = Callable[..., npt.NDArray[np.uint8]]


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_a_folder_gives_its_own_pictures_by_name_and_what_else_lies_there(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "c.tiff", "notes.txt", "scan.dcm", ".hidden.png", "._a.png")
    touch(tmp_path / "inner", "d.png")
    found = find_images(tmp_path)
    assert [path.name for path in found.images] == ["a.png", "b.JPG", "c.tiff", "scan.dcm"]
    assert [path.name for path in found.others] == ["notes.txt"]


def test_a_file_is_taken_whatever_its_ending(tmp_path: Path) -> None:
    touch(tmp_path, "picture.dat", "b.png")
    assert find_images(tmp_path / "picture.dat").images == (tmp_path / "picture.dat",)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere cannot be read \(No such file"):
        find_images(tmp_path / "nowhere")


def test_an_empty_folder_is_refused_with_the_endings_that_count(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(UserError, match=r"no pictures directly in .*\.jpeg, \.jpg, \.png"):
        find_images(tmp_path)


def test_a_folder_of_folders_is_refused_with_one_to_give(tmp_path: Path) -> None:
    touch(tmp_path / "a", "notes.txt")
    touch(tmp_path / "b", "x.jpg")
    with pytest.raises(UserError, match=f"such as {tmp_path / 'b'}$"):
        find_images(tmp_path)


@pytest.mark.parametrize("names", [("a.png", "a.jpg"), ("a.png", "A.jpg")])
def test_two_pictures_that_would_share_a_mask_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    touch(tmp_path, *names, "b.png")
    with pytest.raises(UserError, match=r"would both write the mask [aA]\.png"):
        find_images(tmp_path)


def test_names_that_differ_before_the_last_ending_do_not_clash(tmp_path: Path) -> None:
    touch(tmp_path, "a.1.png", "a.2.png", "a.png")
    assert len(find_images(tmp_path).images) == 3


def test_a_picture_is_named_by_its_file_and_keeps_its_bytes(
    tmp_path: Path, photo: Photo, save: Callable[..., Path]
) -> None:
    path = save(tmp_path / "lesion.v2.png", photo(3, 20, 30))
    found = read_picture(path, 16)
    assert (found.picture.name, found.picture.height, found.picture.width) == ("lesion.v2", 20, 30)
    assert found.picture.small.shape == (16, 16, 3)
    assert found.data == path.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_text_is_usable(tmp_path: Path, photo: Photo, save: Callable[..., Path]) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    save(tmp_path / "a.png", photo(0)).rename(odd)
    read_picture(odd, 16).picture.name.encode()


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.png"):
        read_picture(tmp_path / "broken.png", 16)


def test_a_batch_holds_one_picture_or_more() -> None:
    assert check_batch_size(1) == 1
    with pytest.raises(UserError, match="batch size 0"):
        check_batch_size(0)
