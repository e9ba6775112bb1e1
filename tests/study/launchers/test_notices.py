from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.launchers.notices import announce, open_notices


def test_each_notice_is_news_once_however_often_a_cell_begins(tmp_path: Path) -> None:
    with open_notices(tmp_path) as notices:
        assert notices.news() == []
        announce(notices.folder, "b")
        announce(notices.folder, "a")
        assert notices.news() == ["a", "b"]
        announce(notices.folder, "a")
        announce(notices.folder, "c")
        assert notices.news() == ["c"]
    assert not list(tmp_path.iterdir())


def test_a_study_that_this_machine_does_not_see_is_told(tmp_path: Path) -> None:
    with open_notices(tmp_path) as notices:
        pass
    with pytest.raises(
        UserError, match=r"is not to be seen from .*; a study on a cluster must lie on a file"
    ):
        announce(notices.folder, "a")
    with pytest.raises(UserError, match=str(tmp_path / "elsewhere")):
        announce(tmp_path / "elsewhere" / notices.folder.name, "a")
