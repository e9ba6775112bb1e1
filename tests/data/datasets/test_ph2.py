from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.datasets.ph2 import find_ph2
from mlffm_segdiff.data.files import decode_mask
from mlffm_segdiff.data.table import read_cases

Write = Callable[[Path, Mapping[str, bytes]], None]


def test_the_official_tree_gives_the_pairs(ph2: Path) -> None:
    cases = read_cases("ph2", ph2)
    assert [case.id for case in cases] == ["IMD002", "IMD437"]
    for case in cases:
        assert case.image.name == f"{case.id}.bmp"
        mask = decode_mask(case.mask.read(), case.mask.name)
        assert mask.dtype == np.bool_
        assert mask.sum() == 48


def test_the_folders_inside_may_be_given(ph2: Path) -> None:
    for inner in ("PH2Dataset.zip", "PH2Dataset", "PH2Dataset/PH2 Dataset images"):
        if (ph2 / inner).exists():
            assert read_cases("ph2", ph2 / inner) == read_cases("ph2", ph2)


def test_a_lost_partner_is_kept_and_known(ph2: Path, write: Write) -> None:
    write(ph2, {"IMD900_Dermoscopic_Image/IMD900.bmp": b"x", "IMD901_lesion/IMD901_lesion.bmp": b"x"})
    found = find_ph2(ph2)
    assert found.cases()[-1].mask is None
    assert found.masks_without_image() == ["IMD901"]


def test_a_rar_that_was_not_unpacked_is_explained(tmp_path: Path, write: Write) -> None:
    write(tmp_path, {"PH2Dataset.rar": b"Rar!"})
    with pytest.raises(UserError, match=rf"no PH2 images .* in {tmp_path}; .*unpack it"):
        read_cases("ph2", tmp_path)


def test_images_without_masks_are_refused(tmp_path: Path, write: Write) -> None:
    write(tmp_path, {"IMD002.bmp": b"x"})
    with pytest.raises(UserError, match="no PH2 masks"):
        read_cases("ph2", tmp_path)
