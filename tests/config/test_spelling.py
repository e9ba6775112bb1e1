import re
import tomllib
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.load import _keys
from mlffm_segdiff.config.packaged import recipe_names
from mlffm_segdiff.config.spelling import KEYS, known_name, meant_key
from mlffm_segdiff.config.study import load_study
from mlffm_segdiff.data.table import DATASETS
from mlffm_segdiff.losses import LOSSES
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.recipe import check_recipe, load_recipe, with_data

SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize("given", ["isic2018", "ISIC2018", "isic-2018", "ISIC 2018"])
def test_case_and_separators_do_not_count(given: str) -> None:
    assert known_name(given, ("ph2", "isic2018")) == "isic2018"
    assert known_name("isic2019", ("ph2", "isic2018")) == "isic2019"
    assert known_name("UNet", ("unet", "UNet")) == "UNet", "the exact name comes first"


@pytest.mark.parametrize("names", [list(DATASETS), list(MODELS), list(LOSSES), recipe_names()])
def test_no_two_names_are_the_same_but_for_case_and_separators(names: list[str]) -> None:
    assert [known_name(name.upper().replace("_", "-"), names) for name in names] == names


def test_names_in_a_recipe_become_those_registered() -> None:
    recipe = load_recipe("ISIC2018", ["loss.name=Region"])
    assert (recipe.name, recipe.loss.name) == ("isic2018", "region")
    assert list(with_data(recipe, {"PH2": "here"}).data.sources) == ["ph2"]
    assert load_recipe("UNet").model.name == "unet"
    values = recipe.model_dump(mode="json")
    values["model"]["name"] = "MLFFM-SegDiff"
    values["data"]["sources"] = {"HAM10000": None}
    found = check_recipe(values, "here")
    assert (found.model.name, list(found.data.sources)) == ("mlffm_segdiff", ["ham10000"])
    assert load_study("Evidence").name == "evidence"


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("lr=1e-4", "did you mean train.learning_rate?"),
        ("train.lr=1e-4", "did you mean train.learning_rate?"),
        ("epochs=10", r"did you mean train.images \(the number of images seen in the whole run\)?"),
        ("batch=8", "did you mean train.batch_size?"),
        ("num-workers=2", "did you mean data.workers?"),
        ("train.seed=3", "did you mean seed?"),
        ("gpu=1", "did you mean the option --device?"),
        ("gpus=4", "did you mean train.devices?"),
        ("devices=4", "did you mean train.devices?"),
        ("train.ema=2", "the nearest valid key is 'train.ema_decay'"),
        ("data.batch_sizes=3", "the nearest valid key is 'train.batch_size'"),
        ("foo=1", "unknown key 'foo'; choose one of name, seed, data, augment, model, diffusion, "),
        (
            "augment.rotate=true",
            "unknown key 'augment.rotate'; choose one of flip, affine, colour, blur, hair",
        ),
        ("train.imagess=3", "the nearest valid key is 'train.images'"),
    ],
)
def test_words_of_other_tools_name_the_key(override: str, hint: str) -> None:
    with pytest.raises(UserError, match=re.escape(hint.replace("\\", ""))):
        load_recipe("synthetic", [override])


def test_every_hint_is_a_key_and_no_key_is_taken_for_another() -> None:
    keys = set(_keys(type(load_recipe("isic2018"))))
    assert set(KEYS.values()) <= keys
    assert not [key for key in keys if key in KEYS and meant_key(key)]


def test_every_extra_that_the_code_names_is_one_and_only_one_place_words_the_hint() -> None:
    project = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r"""(?:needs_extra|pip_line|missing)\((?:error, )?["'](\w+)["']\)""", text))
        assert path.name == "extra.py" or "pip install" not in text, path
    assert {"study", "dicom", "export", "app"} <= named <= set(project["optional-dependencies"])
