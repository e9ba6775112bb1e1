import json
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.folder import StudyFolder
from mlffm_segdiff.study.lock import package_versions, read_lock, write_lock


def test_a_lock_survives_being_written_and_read(whole: StudyFolder, tmp_path: Path) -> None:
    lock = read_lock(whole.lock)
    write_lock(lock, tmp_path / "study.lock")
    assert (tmp_path / "study.lock").read_bytes() == whole.lock.read_bytes()


def test_it_names_code_packages_and_every_cell(whole: StudyFolder) -> None:
    found = json.loads(whole.lock.read_text())
    assert {"code", "packages", "threads", "part", "evaluations", "baseline", "kind", "name"} <= set(found)
    assert {"python", "torch", "mlffm-segdiff"} <= set(found["packages"])
    assert len(found["cells"]) == 4
    for key, cell in found["cells"].items():
        assert set(cell) == {"key", "variant", "dataset", "seed", "split", "code", "recipe"}
        assert cell["key"] == key
        assert cell["recipe"]["seed"] == cell["seed"]
    assert found["packages"] == package_versions()


def test_an_unknown_cell_is_refused(whole: StudyFolder) -> None:
    with pytest.raises(UserError, match="no cell 0123"):
        read_lock(whole.lock).cell("0123")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": {}}', '{"cells": {"a": {}}}', '{"cells": []}'])
def test_a_damaged_lock_is_told_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "study.lock").write_text(text)
    with pytest.raises(UserError, match=r"study\.lock is damaged") as caught:
        read_lock(tmp_path / "study.lock")
    assert "\n" not in str(caught.value)


def test_a_plan_of_keys_that_this_code_does_not_know_is_told_with_the_ways_out(
    whole: StudyFolder, tmp_path: Path
) -> None:
    values = json.loads(whole.lock.read_text())
    for cell in values["cells"].values():
        cell["recipe"]["train"]["forgotten"] = 1
    (tmp_path / "study.lock").write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"train\.forgotten.*; check out that code, or choose another -o"):
        read_lock(tmp_path / "study.lock")


def test_a_folder_without_a_lock_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no study at"):
        read_lock(tmp_path / "study.lock")
