"""The schema of a study: variants x data sets x seeds, how models are scored, and what runs the cells."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from pydantic import AfterValidator, Field, ValidationError, model_validator

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.load import Location, describe_error, find_yaml, override_values, read_mapping
from mlffm_segdiff.config.packaged import STUDIES
from mlffm_segdiff.config.section import MAX_THREADS, Section, Seed
from mlffm_segdiff.config.spelling import nearest_key

OWN_KEYS = ("seeds", "part", "rank", "launcher")
"""Keys of a study that ``key=value`` changes; other keys are those of its recipes."""
FIXED_KEYS = ("name", "variants", "datasets", "overrides", "evaluations", "baseline")
"""Keys of a study that only its YAML file sets."""
SET_ELSEWHERE = {"seed": "seeds", "data.sources": "datasets"}
FILE_NAME = r"[A-Za-z0-9][\w.-]*"
TITLE_LETTERS = "letters, digits, spaces and + . , ( ) - _"
TITLE = r"\w([\w +.,()-]*[\w+.,()-])?"
MAX_LETTERS = 60
"""Maximum length of a name, which is part of the names of files."""
COLUMNS = ("id", "images", "property", "group")
"""Columns of tables that have a column for each variant."""


def recipe_override(text: str) -> str:
    """Return ``text`` if it is KEY=VALUE with a key that a study may set. Raises ValueError."""
    key, equals, _ = text.partition("=")
    if not (equals and key.strip()):
        raise ValueError(f"{text!r} is not KEY=VALUE, for example train.images=4000")
    for taken, place in SET_ELSEWHERE.items():
        if key == taken or key.startswith(f"{taken}."):
            raise ValueError(f"{key!r} cannot be overridden: a study sets it by {place!r}")
    return text


def file_name(text: str) -> str:
    """Return ``text`` if it can be the name of a file everywhere. Raises ValueError."""
    if not re.fullmatch(FILE_NAME, text):
        raise ValueError(
            f"{text!r} is not a name of only letters, digits and _ . - that begins with A to Z or a digit"
        )
    return _short(text)


def title(text: str) -> str:
    """Return ``text`` if it can be a name in tables and figures. Raises ValueError."""
    if not re.fullmatch(TITLE, text):
        raise ValueError(
            f"{text!r} is not a name of only {TITLE_LETTERS} that begins with a letter or digit and does not "
            "end with a space"
        )
    if text in COLUMNS:
        raise ValueError(f"{text!r} is a column of the report's tables; choose another name")
    return _short(text)


def _short(text: str) -> str:
    if len(text) > MAX_LETTERS:
        raise ValueError(f"{text!r} has {len(text)} characters; choose a name of at most {MAX_LETTERS}")
    return text


def sampling_override(text: str) -> str:
    """Return ``text`` if it is KEY=VALUE with a key of the recipe's sampling. Raises ValueError."""
    if not re.match(r"sampling\.\w+=", text):
        raise ValueError(f"{text!r} is not a sampling override, for example sampling.steps=10")
    return text


Overrides = tuple[Annotated[str, AfterValidator(recipe_override)], ...]
SamplingOverrides = tuple[Annotated[str, AfterValidator(sampling_override)], ...]
FileName = Annotated[str, AfterValidator(file_name)]
Title = Annotated[str, AfterValidator(title)]
LauncherName = Literal["in-process", "local", "slurm", "ray"]


class Variant(Section):
    """One of the models that a study compares.

    Attributes:
        recipe: A packaged recipe, or a YAML file.
        overrides: Changes of it.
        against: The variant it is compared with instead of the baseline.
    """

    recipe: str
    overrides: Overrides = ()
    against: str | None = None


class StudyDataset(Section):
    """A data set of a study.

    Attributes:
        source: The known data set that it is, if its name is another one.
        overrides: Changes of the recipes on this data set.
    """

    source: str | None = None
    overrides: Overrides = ()


class LauncherConfig(Section):
    """What runs the cells of a study, and with which resources; None: the launcher's default.

    Attributes:
        name: "in-process" (one cell after another), "local" (processes of this machine), "slurm" or "ray".
        workers: Cells at the same time; default: as many as fit.
        threads: CPU threads of a cell; default: half of the CPUs, shared by the workers. A study
            keeps its first number, because the last digits of scores depend on it.
        gpus: GPUs of a cell; Ray also takes a share below 1. Other launchers show a cell every visible GPU.
        memory_gb: Memory of a cell.
        partition: Partition of Slurm.
        minutes: Time limit of a Slurm job; default: a day.
        address: The Ray cluster: "auto", HOST:PORT, or "local" for one that lasts as long as the run.
    """

    name: LauncherName = "in-process"
    workers: int | None = Field(default=None, ge=1)
    threads: int | None = Field(default=None, ge=1, le=MAX_THREADS)
    gpus: float | None = Field(default=None, ge=0)
    memory_gb: float | None = Field(default=None, gt=0)
    partition: str | None = None
    minutes: int | None = Field(default=None, ge=1)
    address: str | None = None

    @model_validator(mode="after")
    def options_match(self) -> "LauncherConfig":
        """Refuse options that the launcher does not have."""
        for option, launchers in LAUNCHER_OPTIONS.items():
            if getattr(self, option) is not None and self.name not in launchers:
                raise ValueError(
                    f"{self.name!r} has no option {option!r}; set launcher.name={' or '.join(launchers)}"
                )
        if self.gpus is not None and self.gpus != int(self.gpus) and (self.gpus > 1 or self.name == "slurm"):
            raise ValueError(f"gpus={self.gpus:g} must be a whole number; only Ray takes a share below 1")
        return self


LAUNCHER_OPTIONS: dict[str, tuple[LauncherName, ...]] = {
    "workers": ("local", "slurm", "ray"),
    "gpus": ("slurm", "ray"),
    "memory_gb": ("slurm", "ray"),
    "partition": ("slurm",),
    "minutes": ("slurm",),
    "address": ("ray",),
}


class Study(Section):
    """A grid of training runs and their scores.

    Attributes:
        name: Name of the study, also of its default folder.
        variants: What is compared, by name.
        datasets: What is trained and scored on, by name.
        seeds: One training per variant, data set and seed.
        overrides: Changes of every recipe; those of a data set take precedence, those of a variant over both.
        evaluations: Sampling overrides by name: how masks are drawn for scores. The first leads in tables.
        baseline: The variant that the others are compared with.
        part: The part of the split that is scored.
        rank: Whether the report also ranks all variants against each other.
        launcher: What runs the cells.
    """

    name: FileName
    variants: dict[Title, Variant] = Field(min_length=1)
    datasets: dict[FileName, StudyDataset] = Field(min_length=1)
    seeds: tuple[Seed, ...] = Field(min_length=1)
    overrides: Overrides = ()
    evaluations: dict[FileName, SamplingOverrides] = Field(default={"recipe": ()}, min_length=1)
    baseline: str
    part: Literal["val", "test"] = "test"
    rank: bool = False
    launcher: LauncherConfig = LauncherConfig()

    @model_validator(mode="after")
    def names_match(self) -> "Study":
        """Refuse unknown names of variants and data sets, names alike but for case, and a repeated seed."""
        if self.baseline not in self.variants:
            raise ValueError(
                f"baseline {self.baseline!r} is not one of the variants {', '.join(self.variants)}"
            )
        for name, variant in self.variants.items():
            if variant.against is not None and variant.against not in self.variants.keys() - {name}:
                raise ValueError(f"variant {name!r}: against={variant.against!r} is not another variant")
        for names in (self.variants, self.datasets, self.evaluations):
            if len({name.casefold() for name in names}) < len(names):
                raise ValueError(f"two of {', '.join(names)} differ only in case; rename one")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"a seed is repeated in {list(self.seeds)}")
        return self

    def source(self, dataset: str) -> str:
        """Return which known data set the study's ``dataset`` is."""
        return self.datasets[dataset].source or dataset


def load_study(name: str, overrides: Sequence[str] = ()) -> Study:
    """Read a study.

    Args:
        name: A packaged study, or a YAML file.
        overrides: ``key=value`` changes: of `OWN_KEYS` (``seeds=[0]``, ``launcher.workers=4``), otherwise of
            every recipe.

    Raises:
        UserError: For an unknown study, broken YAML, and an unknown or mistyped key.
    """
    path = find_yaml(name, "study", STUDIES)
    values: Any = OmegaConf.to_container(read_mapping(path, "study", "seeds: [0, 1, 2]"))
    study = check_study(values, f"study {name!r}").model_dump()
    fixed = [key for text in overrides if (key := re.split(r"[.=]", text)[0]) in FIXED_KEYS]
    if fixed:
        raise UserError(
            f"{fixed[0]} cannot be changed here, only {', '.join(OWN_KEYS)} and keys of recipes; copy the "
            "YAML file and change it there"
        )
    own = [text for text in overrides if re.split(r"[.=]", text)[0] in OWN_KEYS]
    of_recipes = [text for text in overrides if text not in own]
    changed = override_values({"launcher": study["launcher"]}, own, "override")
    return check_study(study | changed | {"overrides": [*study["overrides"], *of_recipes]}, "override")


def check_study(values: Any, origin: str) -> Study:
    """Validate the values of a study.

    Args:
        values: The keys of `Study`.
        origin: How an error names their source.

    Raises:
        UserError: Names the invalid key.
    """
    for section in ("variants", "datasets", "evaluations"):
        names = values.get(section) if isinstance(values, Mapping) else None
        for name in names if isinstance(names, Mapping) else ():
            if not isinstance(name, str):
                raise UserError(f"{origin}: {name!r} in {section} is not text; write the name in quotes")
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{origin}: {describe_error(error, _nearest_key)}") from None


def _nearest_key(location: Location) -> str:
    """Return a hint for an unknown key: those of the same section."""
    *above, last = location
    sections: dict[int | str, type[Section]] = {
        "variants": Variant,
        "datasets": StudyDataset,
        "launcher": LauncherConfig,
    }
    section = sections[above[0]] if above else Study
    return nearest_key(str(last), section.model_fields)
