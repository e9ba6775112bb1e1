import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.table import FINDERS, READERS, find_pairs, read_cases


def test_every_reader_has_its_finder_and_they_agree(isic2018, ham10000, ph2, own_folder):
    assert set(READERS) == set(FINDERS)
    for name, root in {"isic2018": isic2018, "ham10000": ham10000, "ph2": ph2, "folder": own_folder}.items():
        cases = read_cases(name, root)
        assert cases
        assert find_pairs(name, root).cases() == cases


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(
        UserError, match="unknown data set 'isic'; choose one of folder, ham10000, isic2018, ph2"
    ):
        read_cases("isic", tmp_path)
