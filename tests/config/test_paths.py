from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded


def test_the_home_folder_replaces_its_sign_where_the_user_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/a.png") == expanded(Path("~/a.png")) == tmp_path / "a.png"
    for name in ("~nobody-of-this-name.png", "a~b/~c.png"):
        assert expanded(name) == Path(name)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", r"a path is empty; give one"),
        (None, "None is a NoneType, not a path"),
        (3, "3 is a int, not a path"),
    ],
)
def test_what_is_no_path_is_refused(path: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        expanded(path)
