import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.packaged import study_names
from mlffm_segdiff.config.study import LauncherConfig, Study, check_study, load_study
from mlffm_segdiff.segmenters.recipe import load_recipe

Write = Callable[..., str]


def values(**given: Any) -> dict[str, Any]:
    base = {
        "name": "mine",
        "variants": {
            "full": {"recipe": "isic2018"},
            "plain": {"recipe": "isic2018", "overrides": ["loss.dice=0"]},
        },
        "datasets": {"ph2": {}},
        "seeds": [0, 1],
        "baseline": "full",
    }
    return {key: value for key, value in (base | given).items() if value is not None}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def study(**given: Any) -> str:
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values(**given)))
        return str(tmp_path / "mine.yaml")

    return study


def test_what_is_left_out_has_its_default(write: Write) -> None:
    study = load_study(write())
    assert (study.part, study.overrides, study.evaluations) == ("test", (), {"recipe": ()})
    assert study.variants["plain"].overrides == ("loss.dice=0",)
    assert study.source("ph2") == "ph2"


def test_a_data_set_may_stand_twice_under_other_names(write: Write) -> None:
    leaking = {"source": "ham10000", "overrides": ["data.split=by_image.csv"]}
    study = load_study(write(datasets={"ham10000": {}, "ham10000_by_image": leaking}))
    assert [study.source(name) for name in study.datasets] == ["ham10000", "ham10000"]


def test_a_variant_is_against_another_one(write: Write) -> None:
    full, plain = {"recipe": "isic2018"}, {"recipe": "unet", "against": "full"}
    assert load_study(write(variants={"full": full, "plain": plain})).variants["plain"].against == "full"
    for other in ("plain", "nothing"):
        with pytest.raises(UserError, match=f"variant 'plain': against='{other}' is not another variant"):
            load_study(write(variants={"full": full, "plain": {**plain, "against": other}}))


def test_overrides_of_the_command_come_after_those_of_the_file(write: Write) -> None:
    study = load_study(write(overrides=["train.images=8"]), ["train.images=4"])
    assert study.overrides == ("train.images=8", "train.images=4")


def test_overrides_of_the_launcher_change_only_the_launcher(write: Write) -> None:
    given = ["launcher.name=ray", "launcher.gpus=0.5", "train.images=4", "launcher.address=10.0.0.1:6379"]
    study = load_study(write(launcher={"threads": 2}), given)
    assert study.overrides == ("train.images=4",)
    assert study.launcher == LauncherConfig(name="ray", threads=2, gpus=0.5, address="10.0.0.1:6379")
    with pytest.raises(UserError, match="has no option 'workers'"):
        load_study(write(), ["launcher.workers=2"])


def test_overrides_of_seeds_part_and_ranking_change_the_study(write: Write) -> None:
    study = load_study(write(), ["seeds=[3]", "part=val", "rank=true", "train.images=4"])
    assert (study.seeds, study.part, study.rank) == ((3,), "val", True)
    assert study.overrides == ("train.images=4",)
    with pytest.raises(
        UserError, match=r"override: key 'seeds': input should be a list in brackets.*\(got 3\)"
    ):
        load_study(write(), ["seeds=3"])


def test_a_study_survives_being_written_and_read(write: Write, tmp_path: Path) -> None:
    study = load_study(write(evaluations={"steps_1": ["sampling.steps=1"]}))
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(study.model_dump(mode="json")))
    assert load_study(str(tmp_path / "again.yaml")) == study


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seed": [0]}, ["unknown key 'seed'", "'seeds'"]),
        ({"variants": {"full": {"recpie": "x"}}}, ["unknown key 'variants.full.recpie'", "'recipe'"]),
        ({"variants": {"full": {}}}, ["missing key 'variants.full.recipe'"]),
        ({"variants": {"a/b": {"recipe": "x"}}}, ["'a/b'", "letters"]),
        ({"variants": {}}, ["variants", "at least 1 item"]),
        ({"variants": {"A": "unet"}}, ["'variants.A'", "mapping of keys and values (got 'unet')"]),
        ({"variants": {"a|b": {"recipe": "x"}}}, ["'a|b'", "letters, digits, spaces and + . , ( ) - _"]),
        ({"variants": {1: {"recipe": "x"}}}, ["1 in variants is not text; write the name in quotes"]),
        ({"seeds": []}, ["'seeds'", "at least 1 item"]),
        ({"datasets": {"ph2": {"overrids": []}}}, ["'datasets.ph2.overrids'", "'overrides'"]),
        ({"seeds": [0, 0]}, ["seed", "repeated"]),
        ({"seeds": [-1]}, ["seeds.0", "greater"]),
        ({"baseline": "fool"}, ["'fool'", "full, plain"]),
        ({"baseline": None}, ["missing key 'baseline'"]),
        ({"part": "train"}, ["part", "val"]),
        ({"overrides": ["train.images"]}, ["train.images", "KEY=VALUE"]),
        ({"overrides": ["seed=3"]}, ["'seed'", "'seeds'"]),
        ({"overrides": ["data.sources.ph2=/x"]}, ["'data.sources.ph2'", "'datasets'"]),
        ({"evaluations": {"few": ["train.images=3"]}}, ["train.images=3", "sampling.steps"]),
        ({"evaluations": {"../few": []}}, ["'../few'", "letters"]),
        ({"launcher": {"name": "cloud"}}, ["launcher.name", "slurm"]),
        ({"launcher": {"threads": 1025}}, ["launcher.threads", "1024"]),
        ({"launcher": {"wokers": 3}}, ["'launcher.wokers'", "'workers'"]),
        (
            {"launcher": {"workers": 2}},
            ["'in-process' has no option 'workers'; set launcher.name=local or slurm or ray"],
        ),
        (
            {"launcher": {"name": "local", "gpus": 1}},
            ["'local' has no option 'gpus'; set launcher.name=slurm or ray"],
        ),
        (
            {"launcher": {"name": "ray", "minutes": 3}},
            ["'ray' has no option 'minutes'; set launcher.name=slurm"],
        ),
        ({"launcher": {"name": "slurm", "gpus": 0.5}}, ["gpus=0.5 must be a whole number"]),
        ({"launcher": {"name": "ray", "gpus": 1.5}}, ["gpus=1.5 must be a whole number"]),
    ],
)
def test_a_wrong_study_is_reported_in_one_line(given: dict[str, Any], said: list[str], write: Write) -> None:
    with pytest.raises(UserError) as caught:
        load_study(write(**given))
    assert "\n" not in str(caught.value)
    assert all(part in str(caught.value) for part in ["mine.yaml", *said]), caught.value


def test_a_study_that_is_missing_or_not_yaml_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no study 'evidense'.*evidence"):
        load_study("evidense")
    with pytest.raises(UserError, match="no study file"):
        load_study(str(tmp_path / "no.yaml"))
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match="a study must be a mapping"):
        load_study(str(tmp_path / "list.yaml"))


@pytest.mark.parametrize("name", study_names())
def test_packaged_studies_are_called_as_their_file_and_begin_with_their_command(name: str) -> None:
    study = load_study(name)
    assert isinstance(study, Study)
    assert study.name == name
    text = (files("mlffm_segdiff.config") / "studies" / f"{name}.yaml").read_text()
    comment = " ".join(line[1:] for line in text.splitlines() if line.startswith("#"))
    command = re.search(r"Run: mlffm-segdiff study run (\S+)((?:\s+--source \w+=FOLDER)*)\s*\Z", comment)
    assert command is not None, comment
    assert command[1] == name
    given = re.findall(r"--source (\w+)=", command[2])
    assert given == list(
        dict.fromkeys(name if name in given else study.source(name) for name in study.datasets)
    )


def test_the_studies_of_the_documentation_are_valid() -> None:
    text = (Path(__file__).parents[2] / "docs" / "STUDIES.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    found = [check_study(yaml.safe_load(example), "docs").baseline for example in examples]
    assert found == ["U-Net", "full", "full"]
    counts = {
        name: int(count) for name, count in re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", text, re.MULTILINE)
    }
    studies = {name: load_study(name) for name in study_names()}
    assert counts == {n: len(s.variants) * len(s.datasets) * len(s.seeds) for n, s in studies.items()}


@pytest.mark.parametrize("name", study_names())
def test_the_evaluations_of_a_packaged_study_differ(name: str) -> None:
    """Steps are those of samples, so an evaluation that sets them only would be the posterior mean again."""
    study = load_study(name)
    recipe = study.variants[study.baseline].recipe
    drawn = []
    for overrides in study.evaluations.values():
        sampling = load_recipe(recipe, overrides).sampling
        drawn.append(sampling if sampling.samples else sampling.model_copy(update={"steps": 1}))
    assert len(set(drawn)) == len(drawn)


def test_the_evidence_study_removes_only_the_fusion_module() -> None:
    study = load_study("evidence")
    assert study.baseline == "full"
    assert study.variants["full"].overrides == ()
    assert study.variants["without MLFFM"].overrides == ("model.fusion_width=null",)
    assert study.variants["full"].recipe == study.variants["without MLFFM"].recipe
    assert len(study.seeds) == 3


@pytest.mark.parametrize(
    "change", ["baseline=plain", "name=other", "datasets.isic2018={}", "evaluations.a=[]"]
)
def test_what_only_the_file_sets_is_refused_on_the_command_line(change: str, write: Write) -> None:
    key = re.split(r"[.=]", change)[0]
    with pytest.raises(
        UserError, match=f"^{key} cannot be changed here, only seeds, part, rank, launcher and"
    ):
        load_study(write(), [change])


@pytest.mark.parametrize("name", [2, False, 1.5])
def test_a_name_that_yaml_reads_as_a_number_or_truth_value_needs_quotes(name: object, write: Write) -> None:
    variants = {"full": {"recipe": "isic2018"}, name: {"recipe": "isic2018"}}
    with pytest.raises(UserError, match=f"{name} in variants is not text; write the name in quotes"):
        load_study(write(variants=variants))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"datasets": {"\u00e9tude": {"source": "ph2"}}}, "that begins with A to Z or a digit"),
        ({"variants": {"full ": {"recipe": "isic2018"}}, "baseline": "full "}, "does not end with a space"),
        ({"datasets": {"a" * 61: {"source": "ph2"}}}, "has 61 characters; choose a name of at most 60"),
        ({"evaluations": {"e" * 240: []}}, "has 240 characters; choose a name of at most 60"),
    ],
)
def test_names_that_a_report_cannot_use_are_refused(given: dict[str, Any], said: str, write: Write) -> None:
    with pytest.raises(UserError, match=said):
        load_study(write(**given))
