import json
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.plan import package_versions, read_plan, write_plan
from mlffm_segdiff.study.study_folder import StudyFolder


def test_a_plan_survives_being_written_and_read(whole: StudyFolder, tmp_path: Path) -> None:
    plan = read_plan(whole.plan)
    write_plan(plan, tmp_path / "plan.json")
    assert (tmp_path / "plan.json").read_bytes() == whole.plan.read_bytes()


def test_a_plan_names_packages_and_every_cell(whole: StudyFolder) -> None:
    found = json.loads(whole.plan.read_text())
    assert {"packages", "threads", "part", "evaluations", "baseline", "rank", "name"} <= set(found)
    assert {"python", "torch", "mlffm-segdiff"} <= set(found["packages"])
    assert len(found["cells"]) == 4
    for cell in found["cells"]:
        assert set(cell) == {"key", "variant", "dataset", "seed", "split", "recipe"}
        assert cell["recipe"]["seed"] == cell["seed"]
    assert found["packages"] == package_versions()


def test_a_cell_is_found_by_the_beginning_of_its_key(whole: StudyFolder) -> None:
    plan = read_plan(whole.plan)
    assert plan.cell(plan.cells[1].key[:9]) == plan.cells[1]
    for key, count in (("nothing", 0), ("", 4)):
        with pytest.raises(UserError, match=f"{count} cells of study 'small' start with '{key}'"):
            plan.cell(key)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": {}}', '{"cells": {"a": {}}}', '{"cells": []}'])
def test_a_damaged_plan_is_reported_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UserError, match=r"plan\.json is damaged") as caught:
        read_plan(tmp_path / "plan.json")
    assert "\n" not in str(caught.value)


def test_a_plan_of_unknown_keys_is_reported_with_the_fixes(whole: StudyFolder, tmp_path: Path) -> None:
    values = json.loads(whole.plan.read_text())
    for cell in values["cells"]:
        cell["recipe"]["train"]["forgotten"] = 1
    (tmp_path / "plan.json").write_text(json.dumps(values))
    with pytest.raises(
        UserError,
        match=r"train\.forgotten.*; use the version that planned it, or",
    ):
        read_plan(tmp_path / "plan.json")


def test_a_folder_without_a_plan_is_not_a_study(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a study folder"):
        read_plan(tmp_path / "plan.json")
