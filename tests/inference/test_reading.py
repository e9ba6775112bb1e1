import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.inference.reading import check_batch_size, find_images, read_picture

Photo = Callable[..., npt.NDArray[np.uint8]]


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize("names", [("a.png", "a.jpg"), ("a.png", "A.jpg")])
def test_two_pictures_that_would_share_a_mask_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    touch(tmp_path, *names, "b.png")
    with pytest.raises(UserError, match=r"would both write the mask [aA]\.png"):
        find_images(tmp_path)


def test_names_that_differ_before_the_last_ending_do_not_clash(tmp_path: Path) -> None:
    touch(tmp_path, "a.1.png", "a.2.png", "a.png")
    assert len(find_images(tmp_path).images) == 3


def test_several_places_are_taken_in_their_order_and_no_picture_twice(tmp_path: Path) -> None:
    touch(tmp_path / "b", "x.png", "notes.txt")
    touch(tmp_path / "a", "y.png", "z.png")
    found = find_images(tmp_path / "b", f"{tmp_path}/a/y*", tmp_path / "a", str(tmp_path / "b"))
    assert [image.name for image in found.images] == ["x.png", "y.png", "z.png"]
    assert [other.name for other in found.others] == ["notes.txt"]


def test_pictures_of_one_name_in_two_places_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "anna", "IM1.png")
    touch(tmp_path / "bert", "IM1.jpg")
    with pytest.raises(UserError, match=r"anna/IM1\.png and .*bert/IM1\.jpg would both write .*IM1\.png"):
        find_images(tmp_path / "anna", tmp_path / "bert")
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.writestr("anna/IM1.png", b"")
        archive.writestr("bert/im1.png", b"")
    with pytest.raises(UserError, match="would both write"):
        find_images(tmp_path / "both.zip")


def test_a_dicom_picture_tells_its_spacing(tmp_path: Path, photo: Photo, dicom: Callable[..., bytes]) -> None:
    path = tmp_path / "1.2.840.7"
    path.write_bytes(dicom(photo(3), PixelSpacing=[0.02, 0.02]))
    found = read_picture(path, 16)
    assert (found.name, found.mm_per_pixel) == ("1.2.840.7", 0.02)
    assert (found.picture.height, found.picture.width) == (40, 56)


def test_the_same_pixels_give_the_same_picture_in_every_kind_of_file(
    tmp_path: Path, photo: Photo, save: Callable[..., Path], dicom: Callable[..., bytes]
) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom(photo(3)))
    lossless = [save(tmp_path / f"a.{ending}", photo(3)) for ending in ("png", "tiff", "bmp")]
    webp = save(tmp_path / "a.webp", photo(3), lossless=True)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "in/a.png")
    found = [
        read_picture(source, 16).picture.small
        for source in (tmp_path / "a.dcm", *lossless, webp, Entry(tmp_path / "a.zip", "in/a.png"))
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_a_dicom_picture_too_large_is_refused_by_its_header(
    tmp_path: Path, photo: Photo, dicom: Callable[..., bytes]
) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(photo(3)))
    with path.open("r+b") as file:
        data = file.read()
        for tag, size in ((b"\x28\0\x10\0US\x02\0", 40), (b"\x28\0\x11\0US\x02\0", 56)):
            assert data.count(tag + struct.pack("<H", size)) == 1
            data = data.replace(tag + struct.pack("<H", size), tag + struct.pack("<H", 40_000))
        file.seek(0)
        file.write(data)
    with pytest.raises(UserError, match=r"a\.dcm is 40000x40000, that is 1,600 megapixels"):
        read_picture(path, 16)


def test_a_picture_is_named_by_its_file_and_keeps_its_bytes(
    tmp_path: Path, photo: Photo, save: Callable[..., Path]
) -> None:
    path = save(tmp_path / "lesion.v2.png", photo(3, 20, 30))
    found = read_picture(path, 16)
    assert (found.name, found.picture.height, found.picture.width) == ("lesion.v2", 20, 30)
    assert found.picture.small.shape == (16, 16, 3)
    assert found.data == path.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_text_is_usable(tmp_path: Path, photo: Photo, save: Callable[..., Path]) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    save(tmp_path / "a.png", photo(0)).rename(odd)
    assert read_picture(odd, 16).name == odd.stem


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.png"):
        read_picture(tmp_path / "broken.png", 16)


def test_a_batch_holds_one_picture_or_more() -> None:
    assert check_batch_size(1) == 1
    with pytest.raises(UserError, match="batch size 0"):
        check_batch_size(0)
