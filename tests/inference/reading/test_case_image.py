import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.cache import open_cache
from mlffm_segdiff.data.case import Case, Entry
from mlffm_segdiff.data.image_formats import striping_bytes
from mlffm_segdiff.inference.reading import case_image
from mlffm_segdiff.inference.reading.case_image import array_image, find_images, read_image

Photo = Callable[..., npt.NDArray[np.uint8]]


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize("names", [("a.png", "a.jpg"), ("a.png", "A.jpg")])
def test_two_images_that_would_share_a_mask_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    touch(tmp_path, *names, "b.png")
    with pytest.raises(UserError, match=r"would both write the mask [aA]\.png"):
        find_images(tmp_path)


def test_names_that_differ_before_the_last_ending_do_not_clash(tmp_path: Path) -> None:
    touch(tmp_path, "a.1.png", "a.2.png", "a.png")
    assert len(find_images(tmp_path).images) == 3


def test_several_places_keep_their_order_without_repeated_images(tmp_path: Path) -> None:
    touch(tmp_path / "b", "x.png", "notes.txt")
    touch(tmp_path / "a", "y.png", "z.png")
    found = find_images(tmp_path / "b", f"{tmp_path}/a/y*", tmp_path / "a", str(tmp_path / "b"))
    assert [image.name for image in found.images] == ["x.png", "y.png", "z.png"]
    assert [other.name for other in found.others] == ["notes.txt"]


def test_images_of_one_name_in_two_places_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "anna", "IM1.png")
    touch(tmp_path / "bert", "IM1.jpg")
    with pytest.raises(UserError, match=r"anna/IM1\.png and .*bert/IM1\.jpg would both write .*IM1\.png"):
        find_images(tmp_path / "anna", tmp_path / "bert")
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.writestr("anna/IM1.png", b"")
        archive.writestr("bert/im1.png", b"")
    with pytest.raises(UserError, match="would both write"):
        find_images(tmp_path / "both.zip")


def test_a_dicom_image_has_its_spacing(tmp_path: Path, photo: Photo, dicom: Callable[..., bytes]) -> None:
    path = tmp_path / "1.2.840.7"
    path.write_bytes(dicom(photo(3), PixelSpacing=[0.02, 0.02]))
    found = read_image(path, 16)
    assert (found.stem, found.mm_per_pixel) == ("1.2.840.7", 0.02)
    assert (found.height, found.width) == (40, 56)


def test_the_same_pixels_give_the_same_image_in_every_kind_of_file(
    tmp_path: Path, photo: Photo, save: Callable[..., Path], dicom: Callable[..., bytes]
) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom(photo(3)))
    lossless = [save(tmp_path / f"a.{ending}", photo(3)) for ending in ("png", "tiff", "bmp")]
    webp = save(tmp_path / "a.webp", photo(3), lossless=True)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "in/a.png")
    found = [
        read_image(source, 16).network_input
        for source in (tmp_path / "a.dcm", *lossless, webp, Entry(tmp_path / "a.zip", "in/a.png"))
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_a_dicom_image_too_large_is_refused_by_its_header(
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
        read_image(path, 16)


def test_an_image_is_named_by_its_file_and_kept_only_on_request(
    tmp_path: Path, photo: Photo, save: Callable[..., Path]
) -> None:
    path = save(tmp_path / "lesion.v2.png", photo(3, 20, 30))
    found = read_image(path, 16)
    assert (found.name, found.stem, found.height, found.width) == ("lesion.v2.png", "lesion.v2", 20, 30)
    assert found.network_input.shape == (16, 16, 3)
    assert (found.reread, found.pixels) == (None, None)
    kept = read_image(path, 16, keep=True)
    np.testing.assert_array_equal(kept.full_size, photo(3, 20, 30))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_text_is_usable(tmp_path: Path, photo: Photo, save: Callable[..., Path]) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    save(tmp_path / "a.png", photo(0)).rename(odd)
    assert read_image(odd, 16).stem == odd.stem


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_a_file_that_is_not_an_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.png"):
        read_image(tmp_path / "broken.png", 16)


def test_a_dicom_header_is_kept_without_its_pixels(
    tmp_path: Path, photo: Photo, dicom: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    dcmread = pydicom.dcmread
    monkeypatch.setattr(
        pydicom, "dcmread", lambda *args, **kwargs: parsed.append(1) or dcmread(*args, **kwargs)
    )
    (tmp_path / "a.dcm").write_bytes(dicom(photo(3)))
    found = read_image(tmp_path / "a.dcm", 16, keep=True)
    assert len(parsed) == 2  # to know the memory it takes, and to decode it
    assert found.header is not None
    assert (found.header.PatientID, "PixelData" in found.header) == ("7", False)
    np.testing.assert_array_equal(found.full_size, photo(3))


def test_what_is_held_of_a_large_image_is_small() -> None:
    found = array_image(np.zeros((3000, 4000, 3), np.uint8), 32)
    assert found.view is not None
    assert found.view.shape == (384, 512, 3)
    assert found.view.base is None


def test_an_image_reaches_the_network_as_the_cache_holds_it(
    tmp_path: Path, photo: Photo, save: Callable[..., Path]
) -> None:
    image = photo(1, 47, 90)
    mask = save(tmp_path / "mask.png", image[..., 0] // 128 * 255)
    case = Case("a", Entry(save(tmp_path / "a.png", image)), Entry(mask), "a")
    found = array_image(image, 32)
    np.testing.assert_array_equal(found.network_input, open_cache([case], 32, tmp_path / "cache").images[0])
    assert (found.height, found.width) == (47, 90)


def test_an_image_of_one_colour_is_refused_in_every_kind_of_file(
    tmp_path: Path, save: Callable[..., Path], dicom: Callable[..., bytes]
) -> None:
    black, white = np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 255, np.uint8)
    noisy = white - np.random.default_rng(0).integers(0, 3, white.shape, dtype=np.uint8)
    paths = [
        save(tmp_path / f"{name}.png", image) for name, image in (("b", black), ("w", white), ("n", noisy))
    ]
    (tmp_path / "d.dcm").write_bytes(dicom(black))
    for path in (*paths, tmp_path / "d.dcm"):
        with pytest.raises(UserError, match=rf"{path.name} has one colour only"):
            read_image(path, 16)


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.avif", "a.png", "a.JPE"])
def test_every_known_extension_is_found_in_folders_and_archives(
    tmp_path: Path, photo: Photo, save: Callable[..., Path], name: str
) -> None:
    Image.fromarray(photo(0)).save(tmp_path / "x", "AVIF" if "avif" in name else "JPEG")
    (tmp_path / "in").mkdir()
    (tmp_path / "x").rename(tmp_path / "in" / name)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "in" / name, name)
    for place in (tmp_path / "in", tmp_path / "a.zip"):
        (source,) = find_images(place).images
        assert (read_image(source, 16).height, read_image(source, 16).width) == (40, 56)


def test_a_member_of_no_known_format_is_refused_by_its_first_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(50_000_000))
    unpacked = []
    monkeypatch.setattr(Entry, "read", lambda entry: unpacked.append(entry))
    with pytest.raises(UserError, match=r"a\.zip:a\.png is not an image"):
        read_image(Entry(tmp_path / "a.zip", "a.png"), 16)
    assert not unpacked


def test_reading_waits_for_the_memory_of_file_and_image(
    tmp_path: Path, photo: Photo, save: Callable[..., Path], asked: list[int]
) -> None:
    path = save(tmp_path / "a.png", photo(0))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.png")
    for source in (path, Entry(tmp_path / "a.zip", "a.png")):
        read_image(source, 16)
    size = path.stat().st_size
    assert asked == [size + 4 * 40 * 56 + striping_bytes(56, 40)] * 2


def test_a_large_file_is_read_again_for_its_full_size(
    tmp_path: Path, photo: Photo, save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", photo(3))
    monkeypatch.setattr(case_image, "KEPT_PIXELS", 0)
    for limit in (0, 10**6):
        monkeypatch.setattr(case_image, "KEPT_BYTES", limit)
        np.testing.assert_array_equal(read_image(path, 16, keep=True).full_size, photo(3))
    monkeypatch.setattr(case_image, "KEPT_BYTES", 0)
    found = read_image(path, 16, keep=True)
    path.unlink()
    with pytest.raises(UserError, match=r"a\.png cannot be read"):
        _ = found.full_size


def test_the_largest_images_are_not_shown_whole(
    tmp_path: Path, photo: Photo, save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", photo(3))
    monkeypatch.setattr(case_image, "KEPT_PIXELS", 0)
    monkeypatch.setattr(case_image, "MAX_SHOWN_PIXELS", 40 * 56 - 1)
    found = read_image(path, 16, keep=True)
    with pytest.raises(UserError, match=r"a\.png is 56x40, above the limit .* whole image; shrink it"):
        _ = found.full_size


@pytest.mark.parametrize(
    "error", [ValueError, TypeError, NotImplementedError, RecursionError, MemoryError, KeyError]
)
def test_whatever_goes_wrong_in_one_file_is_a_user_error(
    tmp_path: Path,
    dicom: Callable[..., bytes],
    photo: Photo,
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error("odd")

    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(photo(0)))
    monkeypatch.setattr(case_image, "mm_per_pixel", fail)
    with pytest.raises(UserError, match=r"a\.dcm"):
        read_image(path, 16)
