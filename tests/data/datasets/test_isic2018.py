import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.datasets.isic2018 import IMAGES, MASKS, find_isic2018
from mlffm_segdiff.data.files import decode_image, decode_mask
from mlffm_segdiff.data.table import read_cases


def test_official_archives_packed_or_unpacked_give_the_pairs(isic2018):
    cases = read_cases("isic2018", isic2018)
    assert [case.id for case in cases] == ["ISIC_0000001", "ISIC_0000002", "ISIC_0000010"]
    for case in cases:
        assert case.group == case.id
        assert case.image.name == f"{case.id}.jpg"
        assert case.mask.name == f"{case.id}_segmentation.png"
        assert decode_image(case.image.read(), "").shape[:2] == decode_mask(case.mask.read(), "").shape


def test_one_of_the_official_parts_may_be_given(isic2018):
    for part in (IMAGES, MASKS, f"{IMAGES}.zip", f"{MASKS}.zip"):
        if (isic2018 / part).exists():
            assert read_cases("isic2018", isic2018 / part) == read_cases("isic2018", isic2018)


def test_other_tasks_next_to_it_are_not_mixed_in(isic2018, write):
    other = {"ISIC2018_Task3_Training_Input/ISIC_0024306.jpg": b"", "x/ISIC_0024306_segmentation.png": b""}
    write(isic2018, other)
    assert len(read_cases("isic2018", isic2018)) == 3


def test_a_lost_partner_is_kept_and_known(isic2018, write):
    write(isic2018, {f"{IMAGES}/ISIC_0000003.jpg": b"x", f"{MASKS}/ISIC_0000004_segmentation.png": b"x"})
    found = find_isic2018(isic2018)
    assert {case.id: case.mask for case in found.cases()}["ISIC_0000003"] is None
    assert found.masks_without_image() == ["ISIC_0000004"]


def test_errors_say_what_is_sought_where_and_what_to_download(tmp_path, write):
    with pytest.raises(UserError, match=rf"images .* in {tmp_path}; get {IMAGES}\.zip from https://"):
        read_cases("isic2018", tmp_path)
    write(tmp_path, {f"{IMAGES}/ISIC_0000003.jpg": b"x"})
    with pytest.raises(UserError, match=rf"masks .*get {MASKS}\.zip"):
        read_cases("isic2018", tmp_path)
