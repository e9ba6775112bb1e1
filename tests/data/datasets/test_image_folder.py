from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.datasets.image_folder import find_image_folder
from mlffm_segdiff.data.datasets.mask_names import mask_case_id
from mlffm_segdiff.data.table import find_pairs, read_cases

Write = Callable[[Path, Mapping[str, bytes]], None]


def test_masks_are_found_by_name_and_by_suffix(own_folder: Path) -> None:
    cases = read_cases("folder", own_folder)
    pairs = [(case.id, case.image.name, case.mask.name, case.group) for case in cases]
    assert pairs == [
        ("a", "a.png", "a.png", "a"),
        ("b", "b.png", "b_mask.png", "b"),
        ("c", "c.png", "c_segmentation.png", "c"),
    ]


@pytest.mark.parametrize(("images", "masks"), [("image", "mask"), ("imgs", "labels"), ("Images", "Masks")])
def test_other_common_folder_names_are_known(own_folder: Path, images: str, masks: str) -> None:
    expected = [case.id for case in read_cases("folder", own_folder)]
    (own_folder / "images").rename(own_folder / images)
    (own_folder / "masks").rename(own_folder / masks)
    assert [case.id for case in read_cases("folder", own_folder)] == expected


def test_a_name_that_ends_like_a_suffix_belongs_to_the_image_of_that_name(
    tmp_path: Path, write: Write
) -> None:
    write(tmp_path / "images", {"x.png": b"1", "x_mask.png": b"2"})
    write(tmp_path / "masks", {"x.png": b"3", "x_mask.png": b"4", "notes.txt": b""})
    assert {case.id: case.mask.read() for case in read_cases("folder", tmp_path)} == {
        "x": b"3",
        "x_mask": b"4",
    }


def test_lost_partners_are_kept_and_known(own_folder: Path, write: Write) -> None:
    write(own_folder, {"images/d.png": b"x", "masks/e_mask.png": b"x"})
    found = find_image_folder(own_folder)
    assert [case.id for case in found.cases() if case.mask is None] == ["d"]
    assert found.masks_without_image() == ["e"]


def test_groups_are_read_where_given(own_folder: Path, write: Write) -> None:
    write(own_folder, {"groups.csv": b"id,group\na,anna\nb,anna\n"})
    assert [case.group for case in read_cases("folder", own_folder)] == ["anna", "anna", "c"]
    write(own_folder, {"groups.csv": b"image,patient\na,anna\n"})
    with pytest.raises(UserError, match=r"groups\.csv must have the columns id,group"):
        read_cases("folder", own_folder)


@pytest.mark.parametrize("place", ["", "own/", "own/images/", "own/masks/", "tables/"])
def test_groups_are_read_from_any_folder(own_folder: Path, tmp_path: Path, write: Write, place: str) -> None:
    (tmp_path / "data").mkdir()
    own_folder.rename(tmp_path / "data" / "own")
    write(tmp_path / "data", {f"{place}groups.csv": b"id,group\na,anna\nb,anna\n"})
    found = find_pairs("folder", tmp_path / "data")
    assert found.groups == {"a": "anna", "b": "anna"}
    assert found.ignored == 0


def test_the_outermost_groups_count_and_two_are_refused(own_folder: Path, write: Write) -> None:
    write(own_folder, {"groups.csv": b"id,group\na,anna\n", "old/groups.csv": b"id,group\nz,bert\n"})
    assert find_image_folder(own_folder).groups == {"a": "anna"}
    (own_folder / "groups.csv").unlink()
    write(own_folder, {"new/groups.csv": b"id,group\na,anna\n"})
    with pytest.raises(UserError, match=r"new/groups\.csv and .*old/groups\.csv are both tables of groups"):
        find_image_folder(own_folder)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"a.png,anna\n", r"line 2: no image has the id 'a\.png'; write 'a', without the extension"),
        (b"a,anna\nz,anna\n", "line 3: no image has the id 'z'; correct or remove the line"),
        (b"a,anna\n\nb\n", "line 4: no group; write id and group"),
        (b",anna\n", "line 2: no id; write id and group"),
        (b"a,anna\nb,Andr\xe9\n", "line 3: not UTF-8; save the file as CSV in UTF-8"),
        (b"a," + b"x" * 200_000, r"is not CSV \(field larger"),
        (b"a,anna\na,bert\n", "line 3: 'a' is in two groups; keep one line"),
        (b"a,b\n", "the group 'b' of 'a' has the name of an image that has no line; add the group of the"),
        (b"", "must have the columns id,group and at least one line"),
    ],
)
def test_faulty_groups_are_named_by_file_and_line(
    own_folder: Path, write: Write, lines: bytes, message: str
) -> None:
    write(own_folder, {"groups.csv": b"id,group\n" + lines})
    with pytest.raises(UserError, match=rf"groups\.csv.*{message}"):
        find_image_folder(own_folder)


def test_groups_as_spreadsheets_save_them_are_read(own_folder: Path, write: Write) -> None:
    write(own_folder, {"groups.csv": b"\xef\xbb\xbfid,group\r\na , anna\r\n\r\nb,anna\r\n"})
    assert find_image_folder(own_folder).groups == {"a": "anna", "b": "anna"}


@pytest.mark.parametrize("name", ["c00_mask", "c00_MASK", "c00-Mask", "c00_Segmentation", "c00"])
def test_a_masks_suffix_is_cut_in_any_case(tmp_path: Path, write: Write, name: str) -> None:
    assert mask_case_id(name) == "c00"
    write(tmp_path, {"images/c00.png": b"1", f"masks/{name}.PNG": b"2"})
    (case,) = find_image_folder(tmp_path).cases()
    assert case.mask.read() == b"2"


@pytest.mark.parametrize("name", ["images/a.jpg", "images/deep/a.png", "masks/a-mask.png"])
def test_two_files_of_one_id_are_a_user_error_that_names_both(
    own_folder: Path, write: Write, name: str
) -> None:
    write(own_folder, {name: b"x"})
    with pytest.raises(
        UserError, match=r"a\.(png|jpg) and .*have the same id 'a'|a-mask.*have the same id 'a'"
    ):
        read_cases("folder", own_folder)


def test_wrong_layouts_are_explained(tmp_path: Path, own_folder: Path, write: Write) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"must contain one of the folders images.*found: none"):
        read_cases("folder", tmp_path / "empty")
    write(own_folder, {"imgs/z.png": b"x"})
    with pytest.raises(UserError, match="found: images, imgs"):
        read_cases("folder", own_folder)
    write(tmp_path / "bare", {"images/readme.txt": b"", "masks/a.png": b""})
    with pytest.raises(UserError, match="no images in images/"):
        read_cases("folder", tmp_path / "bare")


def test_names_in_another_case_and_suffixes_of_other_tools_are_paired(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "images", {"Lesion0.JPG": b"", "Lesion1.JPG": b"", "c.png": b""})
    write(tmp_path / "masks", {"lesion0.png": b"", "lesion1_seg.png": b"", "mask_c.png": b""})
    cases = find_image_folder(tmp_path).cases()
    assert {case.id: case.mask.name for case in cases} == {
        "Lesion0": "lesion0.png",
        "Lesion1": "lesion1_seg.png",
        "c": "mask_c.png",
    }


def test_files_that_accompany_images_are_ignored_and_counted(own_folder: Path, write: Write) -> None:
    others = ("images/a_superpixels.png", "images/a_attribute_globules.png", "images/thumbs/a.png")
    more = ("images/._a.png", "images/.DS_Store", "masks/LICENSE.txt", "ATTRIBUTION.txt", "__MACOSX/a.png")
    write(own_folder, dict.fromkeys((*others, *more), b""))
    write(own_folder, {"groups.csv": b"id,group\na,anna\n"})
    found = find_image_folder(own_folder)
    assert (sorted(found.images), sorted(found.masks)) == (["a", "b", "c"], ["a", "b", "c"])
    assert found.ignored == len(others) + len(more)


def test_a_folder_within_a_folder_of_its_name_and_archives_are_read(
    own_folder: Path, tmp_path: Path, pack: Write
) -> None:
    expected = [(case.id, case.mask.name) for case in read_cases("folder", own_folder)]
    files = {str(p.relative_to(own_folder)): p.read_bytes() for p in own_folder.rglob("*.png")}
    table = {"groups.csv": b"id,group\na,anna\n"}
    pack(tmp_path / "x" / "own.zip", {f"own/{name}": data for name, data in {**files, **table}.items()})
    for part in ("images", "masks"):
        here = {name: data for name, data in files.items() if name.startswith(part)}
        pack(tmp_path / "y" / f"{part}.zip", {name.split("/")[1]: data for name, data in here.items()})
    own_folder.rename(tmp_path / "outer")
    (tmp_path / "nested").mkdir()
    (tmp_path / "outer").rename(tmp_path / "nested" / "nested")
    for place in ("x", "x/own.zip", "y", "nested"):
        cases = read_cases("folder", tmp_path / place)
        assert [(case.id, case.mask.name) for case in cases] == expected
    assert read_cases("folder", tmp_path / "x")[0].group == "anna"


def test_unpacked_folders_are_preferred_to_their_archive_and_outer_ones_to_inner(
    own_folder: Path, write: Write, pack: Write
) -> None:
    pack(own_folder / "images.zip", {"a.png": b"other"})
    write(own_folder, {"old/images/a.png": b"other", "old/masks/a.png": b"other"})
    assert [case.id for case in read_cases("folder", own_folder)] == ["a", "b", "c"]
