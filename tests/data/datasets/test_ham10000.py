from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.datasets.ham10000 import find_ham10000
from mlffm_segdiff.data.table import read_cases

Write = Callable[[Path, Mapping[str, bytes]], None]
Encode = Callable[..., bytes]
LESIONS = {
    "ISIC_0024306": "HAM_0000001",
    "ISIC_0024307": "HAM_0000001",
    "ISIC_0024308": "HAM_0000002",
    "ISIC_0029306": "HAM_0000003",
}


def test_official_archives_in_any_state_give_pairs_grouped_by_lesion(ham10000: Path) -> None:
    cases = read_cases("ham10000", ham10000)
    assert {case.id: case.group for case in cases} == LESIONS
    assert [case.id for case in cases] == sorted(LESIONS)
    for case in cases:
        assert case.image.name == f"{case.id}.jpg"
        assert case.mask.name == f"{case.id}_segmentation.png"
        assert case.mask.read().startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "separator"), [("", ","), (".csv", ","), (".tab", "\t")])
def test_the_metadata_may_be_named_as_dataverse_and_kaggle_do(
    ham10000: Path, ham_sheet: Encode, name: str, separator: str
) -> None:
    (ham10000 / "HAM10000_metadata.tab").unlink()
    (ham10000 / f"HAM10000_metadata{name}").write_bytes(ham_sheet(separator))
    assert {case.id: case.group for case in read_cases("ham10000", ham10000)} == LESIONS


def test_one_of_the_official_parts_may_be_given(ham10000: Path) -> None:
    for part in ("HAM10000_images_part_1", "HAM10000_images_part_2.zip"):
        if (ham10000 / part).exists():
            assert read_cases("ham10000", ham10000 / part) == read_cases("ham10000", ham10000)


def test_images_the_metadata_does_not_list_are_left_out(ham10000: Path, write: Write) -> None:
    write(ham10000, {"ISIC2018_Task3_Test_Images/ISIC_0034524.jpg": b"x"})
    assert len(read_cases("ham10000", ham10000)) == 4


def test_a_lost_image_leaves_its_mask_behind(ham10000: Path, write: Write) -> None:
    sheet = ham10000 / "HAM10000_metadata.tab"
    sheet.write_bytes(sheet.read_bytes() + b'\n"HAM_9"\t"ISIC_0034320"\t"nv"')
    write(ham10000, {"HAM10000_segmentations_lesion_tschandl/ISIC_0034320_segmentation.png": b"x"})
    assert find_ham10000(ham10000).masks_without_image() == ["ISIC_0034320"]


def test_errors_name_the_missing_part_and_its_source(tmp_path: Path, write: Write, ham_sheet: Encode) -> None:
    missing = ["HAM10000_metadata", "HAM10000 images", "HAM10000 masks"]
    files = [{}, {"HAM10000_metadata": ham_sheet()}, {"ISIC_0024306.jpg": b"x"}]
    for what, more in zip(missing, files, strict=True):
        write(tmp_path, more)
        with pytest.raises(UserError, match=rf"no {what}.* in {tmp_path}; get .* from https://doi\.org"):
            read_cases("ham10000", tmp_path)


def test_metadata_without_lesions_is_a_user_error(tmp_path: Path, write: Write) -> None:
    write(tmp_path, {"HAM10000_metadata.csv": b"image_id,dx\nISIC_0024306,nv"})
    with pytest.raises(UserError, match=r"must have the columns image_id,lesion_id"):
        read_cases("ham10000", tmp_path)


def test_a_short_line_of_the_metadata_is_named(ham10000: Path) -> None:
    (ham10000 / "HAM10000_metadata.tab").write_bytes(b"image_id\tlesion_id\nISIC_0024306\n")
    with pytest.raises(UserError, match=r"HAM10000_metadata\.tab, line 2: no lesion_id"):
        find_ham10000(ham10000)
