"""A study's cells: one training each."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.load import override_values
from mlffm_segdiff.config.schema import DataConfig, Recipe
from mlffm_segdiff.config.study import Study
from mlffm_segdiff.data.sources import load_split_cases
from mlffm_segdiff.segmenters.assembly import build_sampling, build_segmenter
from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.segmenters.recipe import check_recipe, load_recipe

MADE_HERE = "synthetic"


@dataclass(frozen=True)
class Cell:
    """One training. key: see `cell_key`. split: digest of the split. code: version of what trains it."""

    key: str
    variant: str
    dataset: str
    seed: int
    split: str
    code: str
    recipe: Recipe

    def __str__(self) -> str:
        return f"{self.variant}, {self.dataset}, seed {self.seed}"


def cell_key(recipe: Recipe, split: str, code: str) -> str:
    """Return a cell's id: 16 hexadecimal digits of its whole recipe, split's digest and code's version.

    Where the data lie on this machine is no part of it: which sets they are, and which ids train, is.
    """
    values = recipe.model_dump(mode="json")
    values["data"] |= {"sources": sorted(values["data"]["sources"]), "split": split}
    return hashlib.sha256(json.dumps([values, code], sort_keys=True).encode()).hexdigest()[:16]


def make_cells(study: Study, sources: Mapping[str, Path | None], code: str) -> list[Cell]:
    """Return the cells of a study: all variants on all data sets with one seed, then the next seed.

    sources: folder of each data set, by its name in the study or its source's. Raises UserError, naming the
    variant, for a recipe that does not check or build or cannot be scored as asked; for a data set without
    its folder, or whose split is not the same for all variants; and for two names of one training.
    """
    recipes = variant_recipes(study, sources)
    _refuse_unbuildable(recipes)
    splits = _splits(recipes)
    cells = []
    for seed, dataset, variant in product(study.seeds, study.datasets, study.variants):
        recipe = recipes[variant, dataset].model_copy(update={"seed": seed})
        key = cell_key(recipe, splits[dataset], code)
        cells.append(Cell(key, variant, dataset, seed, splits[dataset], code, recipe))
    _refuse_doubles(cells)
    return cells


def evaluation_sampling(recipe: Recipe, overrides: Sequence[str]) -> Sampling:
    """Return how masks are drawn in an evaluation: the recipe's sampling with overrides. Raises UserError."""
    origin = f"evaluation {' '.join(overrides)}"
    chosen = override_values({"sampling": recipe.sampling.model_dump()}, overrides, origin)
    return build_sampling(check_recipe(recipe.model_dump(mode="json") | chosen, origin).sampling)


def variant_recipes(study: Study, sources: Mapping[str, Path | None]) -> dict[tuple[str, str], Recipe]:
    """Return the recipe of each variant on each data set, its seed not yet chosen. Raises as `make_cells`."""
    known = dict.fromkeys([*study.datasets, *map(study.source, study.datasets)])
    unknown = sorted(set(sources) - set(known))
    if unknown:
        raise UserError(f"--source {unknown[0]}: the study's data sets are {', '.join(known)}")
    found = {}
    for variant, dataset in product(study.variants, study.datasets):
        try:
            recipe = _recipe(study, variant, dataset, _folder(study, dataset, sources))
            for overrides in study.evaluations.values():
                evaluation_sampling(recipe, overrides)
        except UserError as error:
            raise UserError(f"variant {variant!r} on {dataset}: {error}") from None
        found[variant, dataset] = recipe
    return found


def _folder(study: Study, dataset: str, sources: Mapping[str, Path | None]) -> Path | None:
    folder = sources.get(dataset, sources.get(study.source(dataset)))
    if folder is not None:
        return folder.expanduser().absolute()
    if study.source(dataset) != MADE_HERE:
        raise UserError(
            f"no folder of this data set; add --source {dataset}=FOLDER, the folder of its archives"
        )
    return None


def _recipe(study: Study, variant: str, dataset: str, folder: Path | None) -> Recipe:
    """Return the recipe of a variant on a data set alone; the study gives the split, not the recipe."""
    chosen = study.variants[variant]
    levels = (study.overrides, study.datasets[dataset].overrides, chosen.overrides)
    recipe = load_recipe(chosen.recipe, ["data.split=null", *(text for level in levels for text in level)])
    split = recipe.data.split and recipe.data.split.expanduser().absolute()
    data = recipe.data.model_copy(update={"sources": {study.source(dataset): folder}, "split": split})
    return recipe.model_copy(update={"data": data})


def _refuse_unbuildable(recipes: Mapping[tuple[str, str], Recipe]) -> None:
    """Build each network once; recipes that differ in what no network depends on share one."""
    built = set()
    for (variant, dataset), recipe in recipes.items():
        loss = recipe.loss.model_dump_json()
        network = (recipe.model.model_dump_json(), recipe.diffusion, loss, recipe.data.size)
        if network in built:
            continue
        try:
            build_segmenter(recipe)
        except (UserError, ValueError) as error:
            raise UserError(f"variant {variant!r} on {dataset}: {error}") from None
        built.add(network)


def _refuse_doubles(cells: Sequence[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        other = seen.setdefault(cell.key, cell)
        if other is not cell:
            raise UserError(f"one training under two names ({other}; {cell}); leave one out")


def _splits(recipes: Mapping[tuple[str, str], Recipe]) -> dict[str, str]:
    digests: dict[str, str] = {}
    read: list[tuple[DataConfig, str]] = []
    for (variant, dataset), recipe in recipes.items():
        digest = _digest(recipe.data, read)
        if digests.setdefault(dataset, digest) != digest:
            raise UserError(
                f"variant {variant!r} on {dataset} has another split than other variants; give data.split in "
                "the overrides of the data set, or make it another data set with source:"
            )
    return digests


def _digest(data: DataConfig, read: list[tuple[DataConfig, str]]) -> str:
    """Return the split's digest, reading the same archives once."""
    relevant = data.model_copy(update={"size": 1, "workers": 0})
    for known, digest in read:
        if known == relevant:
            return digest
    read.append((relevant, load_split_cases(relevant).digest))
    return read[-1][1]
