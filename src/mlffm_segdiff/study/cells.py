"""The cells of a study: one training each."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.load import override_values
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.schema import DataConfig, Recipe, SamplingConfig
from mlffm_segdiff.config.spelling import known_name
from mlffm_segdiff.config.study import Study
from mlffm_segdiff.data.sources import load_split_cases
from mlffm_segdiff.data.table import SYNTHETIC, require_source, source_name
from mlffm_segdiff.segmenters.assembly import build_segmenter, checked_sampling
from mlffm_segdiff.segmenters.recipe import check_recipe, load_recipe
from mlffm_segdiff.training.run_folder import DEVICE_KEYS

Recipes = Mapping[tuple[str, str], Recipe]
"""Recipes by variant and data set."""


@dataclass(frozen=True)
class Cell:
    """One training of a study.

    Attributes:
        key: See `cell_key`.
        variant: Name of the variant.
        dataset: Name of the data set in the study.
        seed: Seed of the training.
        split: Digest of the split.
        recipe: The full recipe.
    """

    key: str
    variant: str
    dataset: str
    seed: int
    split: str
    recipe: Recipe

    def __str__(self) -> str:
        return f"{self.variant}, {self.dataset}, seed {self.seed}"


def cell_key(recipe: Recipe, split: str) -> str:
    """Compute the key of a cell from its full recipe and the digest of its split.

    The key does not depend on the folders of the data, but on the names of the data sets and the split; nor
    on the loggers and devices of the training, and on how many processes load images.

    Returns:
        16 hexadecimal digits.
    """
    values = recipe.model_dump(mode="json")
    workers = DataConfig.model_fields["workers"].default
    values["data"] |= {"sources": sorted(values["data"]["sources"]), "split": split, "workers": workers}
    for key in ("logger", *DEVICE_KEYS):
        del values["train"][key]
    if not recipe.sampling.logit_spread:  # keys from before this option stay as they are
        del values["sampling"]["logit_spread"]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def make_cells(study: Study, sources: Mapping[str, Path | None]) -> list[Cell]:
    """List the cells of a study: all variants on all data sets with the first seed, then the next seed.

    Args:
        study: The study.
        sources: Folder of each data set, by its name in the study or the name of its source.

    Raises:
        UserError: Names the variant whose recipe is invalid, cannot be built or cannot be scored; the data
            set without a folder, or with different splits for its variants; or two names of one training.
    """
    recipes = variant_recipes(study, sources)
    _validate_networks(recipes)
    splits = _splits(recipes)
    cells: dict[str, Cell] = {}
    for seed, dataset, variant in product(study.seeds, study.datasets, study.variants):
        recipe = recipes[variant, dataset].model_copy(update={"seed": seed})
        key = cell_key(recipe, splits[dataset])
        cell = Cell(key, variant, dataset, seed, splits[dataset], recipe)
        if cells.setdefault(key, cell) is not cell:
            other = cells[key]
            if other.recipe.data.sources != recipe.data.sources:
                raise UserError(
                    f"{other.dataset} and {dataset} have the same ids in different folders, which a study "
                    "cannot tell apart; rename the images of one, or use two studies"
                )
            raise UserError(f"two names for one training run: {other} and {cell}; leave one out")
    return list(cells.values())


def evaluation_sampling(recipe: Recipe, overrides: Sequence[str]) -> SamplingConfig:
    """Return how an evaluation draws masks: the recipe's sampling with overrides. Raises UserError."""
    origin = f"evaluation {' '.join(overrides)}"
    chosen = override_values({"sampling": recipe.sampling.model_dump()}, overrides, origin)
    return checked_sampling(check_recipe(recipe.model_dump(mode="json") | chosen, origin).sampling)


def variant_recipes(study: Study, sources: Mapping[str, Path | None]) -> dict[tuple[str, str], Recipe]:
    """Return the recipe of each variant on each data set, without its seed. Raises as `make_cells` does."""
    known = dict.fromkeys([*study.datasets, *map(study.source, study.datasets)])
    sources = {known_name(name, known): path for name, path in sources.items()}
    unknown = sorted(set(sources) - set(known))
    if unknown:
        raise UserError(f"source {unknown[0]}: the study's data sets are {', '.join(known)}")
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
    source = study.source(dataset)
    folder = sources.get(dataset, sources.get(source))
    require_source(source_name(source))
    if folder is None and source_name(source) != SYNTHETIC:
        raise UserError(f"no folder for this data set; give its archives as source {dataset}=FOLDER")
    return folder and expanded(folder).absolute()


def _recipe(study: Study, variant: str, dataset: str, folder: Path | None) -> Recipe:
    """Return the recipe of a variant on one data set; the split comes from the study, not the recipe."""
    chosen = study.variants[variant]
    levels = (study.overrides, study.datasets[dataset].overrides, chosen.overrides)
    recipe = load_recipe(chosen.recipe, ["data.split=null", *(text for level in levels for text in level)])
    split = recipe.data.split and expanded(recipe.data.split).absolute()
    data = recipe.data.model_copy(
        update={"sources": {source_name(study.source(dataset)): folder}, "split": split}
    )
    if recipe.train.processes > 1:
        raise UserError(
            "a study trains each cell on one device, and several cells at once with a launcher; leave out "
            "train.devices and train.nodes"
        )
    return recipe.model_copy(update={"data": data})


def _validate_networks(recipes: Recipes) -> None:
    """Build each distinct network once, so that a study does not fail hours later."""
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


def _splits(recipes: Recipes) -> dict[str, str]:
    """Return the digest of each data set's split, reading the same archives once."""
    digests: dict[str, str] = {}
    read: list[tuple[DataConfig, str]] = []
    for (variant, dataset), recipe in recipes.items():
        data = recipe.data.model_copy(update={"size": 1, "workers": 0})
        digest = next((digest for known, digest in read if known == data), None)
        if digest is None:
            digest = load_split_cases(data).digest
            read.append((data, digest))
        if digests.setdefault(dataset, digest) != digest:
            raise UserError(
                f"variant {variant!r} on {dataset} has a different split than other variants; set data.split "
                "in the overrides of the data set, or make it another data set with source:"
            )
    return digests
