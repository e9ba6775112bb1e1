import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.load import recipe_of
from mlffm_segdiff.config.packaged import recipe_names
from mlffm_segdiff.segmenters.recipe import check_recipe, load_recipe

MINIMAL = "name: mine\ndata: {sources: {synthetic: null}}\nmodel: {name: mlffm_segdiff, size: tiny}\n"
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def recipe(text: str) -> str:
        (tmp_path / "mine.yaml").write_text(text)
        return str(tmp_path / "mine.yaml")

    return recipe


@pytest.mark.parametrize("name", recipe_names())
def test_packaged_recipes_are_valid_and_called_as_their_file(name: str) -> None:
    assert load_recipe(name).name == name


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_survives_being_written_and_read(name: str, write: Write) -> None:
    recipe = load_recipe(name)
    assert check_recipe(recipe.model_dump(), "here") == recipe
    assert check_recipe(recipe.model_dump(mode="json"), "here") == recipe
    assert load_recipe(write(yaml.safe_dump(recipe.model_dump(mode="json")))) == recipe


def test_overrides_replace_values_of_the_file(write: Write) -> None:
    overrides = ["train.images=20000", "model.encoder_widths=[4, 8, 16]", "data.split=a b.csv", "name=other"]
    recipe = load_recipe(write(MINIMAL), overrides)
    assert (recipe.train.images, recipe.name, recipe.data.split) == (20000, "other", Path("a b.csv"))
    assert recipe.model.model_dump()["encoder_widths"] == (4, 8, 16)


@pytest.mark.parametrize("text", ["/data/Study #2", "#2.csv", "/data/a: b", "C:", "0123", "12:30"])
def test_a_path_is_read_as_it_is_written(text: str, write: Write) -> None:
    assert load_recipe(write(MINIMAL), [f"data.split={text}"]).data.split == Path(text)


def test_a_number_with_leading_zeros_is_not_octal(write: Write) -> None:
    assert load_recipe(write(MINIMAL), ["seed=0123"]).seed == 123


@pytest.mark.parametrize(
    ("override", "key", "nearest"),
    [
        ("train.imges=3", "train.imges", "train.images"),
        ("train.learning_rat=1e-3", "train.learning_rat", "train.learning_rate"),
        ("modle.size=tiny", "modle", "model"),
        ("model.fusion_widht=3", "model.fusion_widht", "model.fusion_width"),
        ("sed=3", "sed", "seed"),
    ],
)
def test_an_unknown_key_is_named_with_file_and_nearest_key(
    override: str, key: str, nearest: str, write: Write
) -> None:
    path = write(MINIMAL)
    with pytest.raises(UserError) as found:
        load_recipe(path, [override])
    assert str(found.value) == f"recipe '{path}': unknown key {key!r}; the nearest valid key is {nearest!r}"


def test_an_unknown_data_set_is_named_with_those_there_are(write: Write) -> None:
    with pytest.raises(UserError) as found:
        load_recipe(write(MINIMAL), ["data.sources.isic=/x"])
    assert str(found.value) == (
        "unknown data set 'isic'; choose one of coco, cvat, folder, ham10000, isic2016, isic2017, "
        "isic2018, labelme, nnunet, ph2, yolo, synthetic"
    )


def test_the_valid_keys_are_those_of_the_chosen_model(write: Write) -> None:
    with pytest.raises(UserError, match=r"unknown key 'model\.size'; choose one of name, encoder, widths, "):
        load_recipe(write(MINIMAL.replace("mlffm_segdiff", "unet")))


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.images=many", r"key 'train\.images': .*valid integer.* \(got 'many'\)"),
        ("train.images=3.5", r"key 'train\.images': .*integer"),
        ("train.images=-1", r"key 'train\.images': .*greater than 0 \(got -1\)"),
        ("train.learning_rate=nan", r"key 'train\.learning_rate': .*finite"),
        ("train.learning_rate=inf", r"key 'train\.learning_rate': .*finite"),
        ("train.ema_decay=1", r"key 'train\.ema_decay': .*less than 1"),
        ("diffusion.mask_scale=0", r"key 'diffusion\.mask_scale': .*greater than 0"),
        ("diffusion.beta_end=5", r"key 'diffusion\.beta_end': .*less than or equal to 0\.999"),
        ("diffusion.objective=v", r"key 'diffusion': objective v needs diffusion\.training=single"),
        ("diffusion.objective=y0", r"key 'diffusion\.objective': .*'x0', 'epsilon' or 'v'"),
        ("seed=-1", "key 'seed': .*greater than or equal to 0"),
        ("seed=4294967296", "key 'seed': .*less than or equal to 4294967295"),
        ("model.size=[1]", r"key 'model\.size': .*'tiny', 'small' or 'base'"),
        (
            "model.name=segformer",
            r"key 'model\.name' must be one of attention_unet, .*unetr \(got 'segformer'\)",
        ),
        ("model=tiny", "key 'model': .*mapping of keys and values"),
        ("model.encoder_widths=[4, 8]", "key 'model': .*one entry for each level"),
        ("model.mask_widths=[4, 4, 4, 4]", "key 'model': .*more levels than the encoder; give it 3 or fewer"),
        ("model.mask_widths=[]", r"key 'model\.mask_widths': .*at least 1"),
        ("model.encoder=resnet", r"key 'model\.encoder': .*'scratch', 'efficientnet_lite0'"),
        ("diffusion.training=own", r"key 'diffusion\.training': .*'dual', 'single' or 'recycling'"),
        ("diffusion.noisy_share=1.5", r"key 'diffusion\.noisy_share': .*less than or equal to 1"),
        ("diffusion.noisy_weight=-1", r"key 'diffusion\.noisy_weight': .*greater than or equal to 0"),
        ("diffusion.own_samples=1", r"unknown key 'diffusion\.own_samples'"),
        ("sampling.samples=-1", r"key 'sampling\.samples': .*greater than or equal to 0"),
        ("train.encoder_rate=0", r"key 'train\.encoder_rate': .*greater than 0"),
        ("data.mix={synthetic: 0.4}", "key 'data': the shares of mix sum to 0.4; make them sum to 1"),
        ("data.mix={synthetic: 1.5}", r"key 'data\.mix\.synthetic': .*less than or equal to 1"),
        ("data.mix={ph2: 1}", "key 'data': mix needs a share for each of synthetic, and no other"),
        ("data.mix={}", "key 'data': mix needs a share for each of synthetic, and no other"),
        ("data=here", "key 'data': .*mapping of keys and values"),
        (
            "sampling={samples: 1, steps: 1001}",
            r"steps=1001 is more than diffusion\.train_steps=1000",
        ),
        (
            "sampling.steps=8",
            r"sampling\.steps=8 has no effect without sampling\.samples>0; ",
        ),
        ("train.init=${nothing}", "[Ii]nterpolation key 'nothing' not found"),
        (
            "train.init=${oc.env:SECRET}",
            r"'\$\{oc\.env:SECRET\}' is not the name of another key",
        ),
        ("train.init=a${oc.${name}:SECRET}", "is not the name of another key"),
        ("train.init=${oc.decode:'3'}", "is not the name of another key"),
        ("model.encoder=???", "[Mm]issing mandatory value: encoder"),
        ("train.images=[1", "overrides 'train.images=.1': .*expected"),
        ("train.images", "override 'train.images' is not key=value, for example"),
        ("=3", "override '=3' is not key=value"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_its_key(override: str, says: str, write: Write) -> None:
    with pytest.raises(UserError, match=says) as found:
        load_recipe(write(MINIMAL), [override])
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: x\n  bad: [1", "mine.yaml: not readable as YAML: .*line 2"),
        ("name: a\nname: b\n", "mine.yaml: not readable as YAML: .*duplicate key name"),
        ("- 1\n- 2\n", "mine.yaml: a recipe must be a mapping of sections, for example"),
        ("3", "mine.yaml: not readable as YAML: .*int"),
        ("", "missing key 'name'"),
        ("name: x\n", "missing key 'data'"),
        (MINIMAL + "1: 2\n", "key '1'"),
        (MINIMAL.replace("name: mlffm_segdiff, ", ""), "key 'model.name' must be one of"),
        (MINIMAL.replace("synthetic: null", ""), r"key 'data\.sources': .*at least 1"),
        (MINIMAL.replace("{name: mlffm_segdiff, size: tiny}", "{name: unet, widths: [8]}"), "at least 2"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(text: str, says: str, write: Write) -> None:
    with pytest.raises(UserError, match=says) as found:
        load_recipe(write(text))
    assert "\n" not in str(found.value)


def test_yaml_builds_no_python_objects(write: Write, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not readable as YAML"):
        load_recipe(write(f"!!python/object/apply:os.mkdir ['{tmp_path}/made']"))
    assert not (tmp_path / "made").exists()


def test_a_file_that_is_not_text_or_not_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("bytes.yaml", "folder.yaml"):
        with pytest.raises(UserError, match=f"{name}: not readable as YAML"):
            load_recipe(str(tmp_path / name))
    with pytest.raises(UserError, match=r"no recipe file .*absent\.yaml; check the path"):
        load_recipe(str(tmp_path / "absent.yaml"))


def test_an_unknown_recipe_suggests_and_lists() -> None:
    with pytest.raises(UserError, match="no recipe 'isic2081': did you mean 'isic2018'") as found:
        load_recipe("isic2081")
    assert all(name in str(found.value) for name in recipe_names())
    with pytest.raises(UserError, match="no recipe 'qqqq': choose one of"):
        load_recipe("qqqq")


def test_a_model_in_place_of_a_recipe_leads_to_its_recipe() -> None:
    with pytest.raises(UserError, match=r"mlffm_segdiff': it is the model of recipe 'isic2018'; choose"):
        load_recipe("mlffm_segdiff")


@pytest.mark.parametrize(
    ("model", "recipe"),
    [("mlffm_segdiff", "isic2018"), ("unet", "unet"), ("dermosegdiff", "dermosegdiff"), ("nothing", None)],
)
def test_the_recipe_to_start_from_for_a_model(model: str, recipe: str | None) -> None:
    assert recipe_of(model) == recipe


def test_values_of_another_program_are_checked_the_same_way() -> None:
    with pytest.raises(UserError, match=r"config\.json: .*mapping of keys and values"):
        check_recipe(None, "config.json")
    with pytest.raises(UserError, match=r"config\.json: missing key 'name'"):
        check_recipe({}, "config.json")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=4))
def test_no_value_of_a_key_ends_in_another_error(value: object) -> None:
    for section, key in (("model", "size"), ("model", "name"), ("data", "sources"), ("train", "init")):
        values = yaml.safe_load(MINIMAL)
        values.setdefault(section, {})[key] = value
        with contextlib.suppress(UserError):
            check_recipe(values, "here")


def test_no_variable_of_the_environment_is_copied(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "sesame")
    text = MINIMAL.replace("name: mine", "name: '${oc.env:SECRET}'")
    with pytest.raises(UserError, match="is not the name of another key") as found:
        load_recipe(write(text))
    assert "sesame" not in str(found.value)
    assert load_recipe(write(MINIMAL), ["train.init=${name}"]).train.init == "mine"
