from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.segmenters.recipe import load_recipe, with_data


@pytest.mark.parametrize(
    ("base", "model", "key", "instead"),
    [
        ("isic2018", "unet", "size", "unet"),
        ("isic2018", "dermosegdiff", "size", "dermosegdiff"),
        ("unet", "mlffm_segdiff", "widths", "isic2018"),
    ],
)
def test_another_model_leads_to_its_recipe_where_the_own_one_sets_keys_it_lacks(
    base: str, model: str, key: str, instead: str
) -> None:
    with pytest.raises(UserError) as found:
        load_recipe(base, [f"model.name={model}"])
    assert str(found.value) == (
        f"recipe {base!r} sets 'model.{key}', which model {model!r} does not have; "
        f"start from the recipe {instead!r}"
    )


def test_a_files_own_name_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ndata: {sources: {synthetic: null}}\nmodel: {name: mlffm_segdiff, size: tiny}\n"
    )
    with pytest.raises(UserError, match=r"mine\.yaml' sets 'model\.size'"):
        load_recipe(str(path), ["model.name=unet"])


def test_another_model_that_has_the_recipes_keys_is_taken() -> None:
    assert load_recipe("unet", ["model.name=attention_unet"]).model.name == "attention_unet"


def test_a_key_that_the_user_gave_is_the_users() -> None:
    with pytest.raises(UserError, match=r"unknown key 'model\.size'; choose one of name"):
        load_recipe("isic2018", ["model.name=unet", "model.size=tiny"])


@pytest.mark.parametrize("name", ["segformer", "[1]", "null", "3"])
def test_a_name_that_is_not_a_model_is_refused_as_such(name: str) -> None:
    with pytest.raises(UserError, match=r"model\.name"):
        load_recipe("isic2018", [f"model.name={name}"])


def test_other_folders_of_the_same_data_sets_keep_the_mix(tmp_path: Path) -> None:
    recipe = load_recipe("all")
    moved = with_data(recipe, dict.fromkeys(recipe.data.sources, tmp_path))
    assert moved.data.mix == recipe.data.mix == {"isic2018": 0.38, "ph2": 0.12, "ham10000": 0.5}
    assert with_data(recipe, {"isic2018": tmp_path}).data.mix is None
