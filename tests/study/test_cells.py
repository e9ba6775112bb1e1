import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.packaged import study_names
from mlffm_segdiff.config.study import Study, load_study
from mlffm_segdiff.data.sources import load_split_cases
from mlffm_segdiff.segmenters.recipe import check_recipe, load_recipe
from mlffm_segdiff.study.cells import Cell, cell_key, evaluation_sampling, make_cells, variant_recipes
from mlffm_segdiff.study.plan import read_plan
from mlffm_segdiff.study.run_cell import is_scored
from mlffm_segdiff.study.study_folder import StudyFolder

MakeStudy = Callable[..., Study]


@pytest.fixture(scope="module")
def lesions(made_lesions: Callable[[int], Path]) -> Path:
    return made_lesions(8)


@pytest.fixture(scope="module")
def cells(make_study: MakeStudy) -> list[Cell]:
    return make_cells(make_study(), {})


def test_the_grid_is_whole_and_goes_seed_by_seed(cells: list[Cell]) -> None:
    found = [(cell.seed, cell.dataset, cell.variant) for cell in cells]
    assert found == [(seed, "synthetic", variant) for seed in (0, 1) for variant in ("full", "plain loss")]
    assert [cell.recipe.seed for cell in cells] == [0, 0, 1, 1]


def test_a_cell_has_the_split_that_training_will_take(cells: list[Cell]) -> None:
    assert {cell.split for cell in cells} == {load_split_cases(cells[0].recipe.data).digest}


def test_a_key_is_made_of_recipe_and_split(cells: list[Cell]) -> None:
    recipe = cells[0].recipe
    assert cell_key(recipe, "split") == cell_key(recipe, "split") != cell_key(recipe, "other")
    assert len({cell.key for cell in cells}) == 4
    assert all(re.fullmatch("[0-9a-f]{16}", cell.key) for cell in cells)


@pytest.mark.parametrize(
    "change",
    [
        "seed=7",
        "train.learning_rate=2e-3",
        "model.attention=false",
        "sampling.mirror=true",
        "sampling.logit_spread=2",
    ],
)
def test_any_other_setting_is_another_key(change: str) -> None:
    assert cell_key(load_recipe("ph2"), "") != cell_key(load_recipe("ph2", [change]), "")


@pytest.mark.parametrize("change", ["train.logger=csv", "train.devices=2", "train.nodes=4", "data.workers=3"])
def test_what_weights_do_not_depend_on_is_not_in_the_key(change: str) -> None:
    assert cell_key(load_recipe("ph2"), "") == cell_key(load_recipe("ph2", [change]), "")


PUBLISHED = sorted((Path(__file__).parents[2] / "docs" / "evidence").glob("*/plan.json"))


@pytest.mark.parametrize("plan", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_cells_keep_their_keys(plan: Path) -> None:
    for cell in json.loads(plan.read_text(encoding="utf-8"))["cells"]:
        assert cell_key(check_recipe(cell["recipe"], "published"), cell["split"]) == cell["key"]


@pytest.mark.parametrize("plan", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_scores_can_be_reused(plan: Path) -> None:
    folder, published = StudyFolder(plan.parent), read_plan(plan)
    assert all(is_scored(cell, published, folder.cell(cell.key)) for cell in published.cells)


def test_the_place_of_the_data_is_not_in_the_key() -> None:
    here, there = (
        load_recipe("ph2", [f"data.sources.ph2={path}", f"data.split={path}.csv"]) for path in ("a", "b")
    )
    assert cell_key(here, "split") == cell_key(there, "split")
    assert cell_key(load_recipe("isic2018"), "split") != cell_key(load_recipe("ham10000"), "split")


def test_overrides_of_a_variant_override_those_of_the_data_set_and_of_the_study(
    make_study: MakeStudy,
) -> None:
    study = make_study(
        overrides=["train.images=1", "train.batch_size=1", "train.warmup=1"],
        datasets={"synthetic": {"overrides": ["train.images=2", "train.batch_size=2"]}},
        variants={"full": {"recipe": "synthetic", "overrides": ["train.images=3"]}},
    )
    train = variant_recipes(study, {})["full", "synthetic"].train
    assert (train.images, train.batch_size, train.warmup) == (3, 2, 1)


def test_sources_and_splits_are_the_studys(make_study: MakeStudy, lesions: Path, tmp_path: Path) -> None:
    ids = [path.stem for path in sorted((lesions / "images").iterdir())]
    (tmp_path / "split.csv").write_text("id,part\n" + "".join(f"{key},train\n" for key in ids))
    datasets = {
        "folder": {},
        "again": {"source": "folder", "overrides": [f"data.split={tmp_path / 'split.csv'}"]},
    }
    study = make_study(datasets=datasets, seeds=[0])
    cells = make_cells(study, {"folder": lesions, "again": lesions})
    assert cells == make_cells(study, {"folder": lesions})  # by the name of the source of both
    assert {tuple(cell.recipe.data.sources.items()) for cell in cells} == {(("folder", lesions),)}
    digests = {cell.dataset: cell.split for cell in cells}
    assert digests["folder"] != digests["again"]
    assert digests == {cell.dataset: load_split_cases(cell.recipe.data).digest for cell in cells}


def test_two_folders_with_the_same_ids_are_refused(
    make_study: MakeStudy, lesions: Path, tmp_path: Path
) -> None:
    shutil.copytree(lesions, tmp_path / "bald")
    study = make_study(datasets={"raw": {"source": "folder"}, "bald": {"source": "folder"}})
    with pytest.raises(
        UserError, match=r"^raw and bald have the same ids in different folders, which a study"
    ):
        make_cells(study, {"raw": lesions, "bald": tmp_path / "bald"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"variants": {"full": {"recipe": "isic2017"}}}, ["'full'", "isic2017"]),
        (
            {"variants": {"full": {"recipe": "synthetic", "overrides": ["model.widht=3"]}}},
            ["'full'", "model.widht"],
        ),
        (
            {"variants": {"full": {"recipe": "synthetic", "overrides": ["data.size=33"]}}},
            ["'full'", "data.size=33"],
        ),
        (
            {"variants": {"full": {"recipe": "synthetic"}}, "evaluations": {"x": ["sampling.steps=1001"]}},
            ["'full'", "=1001"],
        ),
        (
            {"variants": {"full": {"recipe": "synthetic"}, "twin": {"recipe": "synthetic"}}},
            ["full", "twin", "leave"],
        ),
        ({"datasets": {"ph2": {}}}, ["ph2", "source ph2=FOLDER"]),
        ({"datasets": {"foo": {}}}, ["unknown data set 'foo'; choose one of "]),
        (
            {"variants": {"full": {"recipe": "synthetic", "overrides": ["train.devices=2"]}}},
            ["'full'", "each cell on one device", "leave out train.devices"],
        ),
    ],
)
def test_what_cannot_run_is_refused_by_its_name(
    given: dict[str, Any], said: list[str], make_study: MakeStudy
) -> None:
    with pytest.raises(UserError) as caught:
        make_cells(make_study(**given), {})
    assert "\n" not in str(caught.value)
    assert all(part in str(caught.value) for part in said), caught.value


def test_a_source_of_no_data_set_is_refused(make_study: MakeStudy, lesions: Path) -> None:
    with pytest.raises(UserError, match=r"source ph2: .* are synthetic"):
        make_cells(make_study(), {"ph2": lesions})


def test_variants_on_other_splits_are_refused(make_study: MakeStudy, lesions: Path, tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text(f"id,part\n{next((lesions / 'images').iterdir()).stem},train\n")
    other = {"recipe": "synthetic", "overrides": [f"data.split={tmp_path / 'split.csv'}"]}
    study = make_study(variants={"full": {"recipe": "synthetic"}, "other": other}, datasets={"folder": {}})
    with pytest.raises(UserError, match="'other' on folder has a different split"):
        make_cells(study, {"folder": lesions})


def test_an_evaluation_changes_only_the_sampling(cells: list[Cell]) -> None:
    found = evaluation_sampling(cells[0].recipe, ["sampling.samples=5"])
    assert (found.samples, found.steps, found.sampler) == (5, 2, "ddim")


@pytest.mark.parametrize("name", study_names())
def test_every_packaged_variant_can_be_requested(name: str) -> None:
    study = load_study(name)
    recipes = variant_recipes(study, dict.fromkeys(study.datasets, Path("somewhere")))
    assert len(recipes) == len(study.variants) * len(study.datasets)
    for dataset in study.datasets:
        found = [recipe for (_, where), recipe in recipes.items() if where == dataset]
        assert len({cell_key(recipe, "") for recipe in found}) == len(study.variants), "no two are the same"
        assert len({recipe.train.images for recipe in found}) == 1, "all see as many"
        assert len({recipe.augment for recipe in found}) == 1
