"""What a study may say: variants x data sets x seeds, and how the trained models are scored."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.load import read_mapping
from mlffm_segdiff.config.packaged import STUDIES, study_names
from mlffm_segdiff.config.section import Section, Seed

GIVEN_ELSEWHERE = {"seed": "seeds", "data.sources": "datasets"}
FILE_NAME = r"[A-Za-z0-9][\w.-]*"
TITLE = r"\w[\w +.,()-]*"


def recipe_override(text: str) -> str:
    """Return ``text`` if it is KEY=VALUE with a key that a study may set. Raises ValueError."""
    key, equals, _ = text.partition("=")
    if not (equals and key.strip()):
        raise ValueError(f"{text!r} is not KEY=VALUE, for example train.images=4000")
    for taken, place in GIVEN_ELSEWHERE.items():
        if key == taken or key.startswith(f"{taken}."):
            raise ValueError(f"{key!r} is no override: a study gives it by {place!r}")
    return text


def sampling_override(text: str) -> str:
    """Return ``text`` if it is KEY=VALUE with a key of the recipe's sampling. Raises ValueError."""
    if not re.match(r"sampling\.\w+=", text):
        raise ValueError(f"{text!r} is not a sampling override, for example sampling.steps=10")
    return text


Overrides = tuple[Annotated[str, AfterValidator(recipe_override)], ...]
SamplingOverrides = tuple[Annotated[str, AfterValidator(sampling_override)], ...]
FileName = Annotated[str, StringConstraints(pattern=rf"^{FILE_NAME}$")]
Title = Annotated[str, StringConstraints(pattern=rf"^{TITLE}$")]


class Variant(Section):
    """One of the things compared: a recipe (of the package, or a YAML file) and what is changed in it.

    against: the variant it is compared with in place of the baseline, such as one that differs in one part.
    """

    recipe: str
    overrides: Overrides = ()
    against: str | None = None


class StudyDataset(Section):
    """A data set of a study. source: which one it is, if its name does not say; overrides: for it alone."""

    source: str | None = None
    overrides: Overrides = ()


class Study(Section):
    """A grid of trainings and their scores.

    overrides: of every recipe; a data set's own come over them, a variant's over both. evaluations: how masks
    are drawn for scores, by name; the first one leads in tables. baseline: the variant that others are
    compared with. part: what is scored.
    """

    name: FileName
    variants: dict[Title, Variant] = Field(min_length=1)
    datasets: dict[FileName, StudyDataset] = Field(min_length=1)
    seeds: tuple[Seed, ...] = Field(min_length=1)
    overrides: Overrides = ()
    evaluations: dict[FileName, SamplingOverrides] = Field(default={"recipe": ()}, min_length=1)
    baseline: str
    part: Literal["val", "test"] = "test"

    @model_validator(mode="after")
    def names_fit(self) -> "Study":
        """Refuse to compare with no variant, and a seed given twice."""
        if self.baseline not in self.variants:
            raise ValueError(f"baseline {self.baseline!r} is none of the variants {', '.join(self.variants)}")
        for name, variant in self.variants.items():
            if variant.against is not None and variant.against not in self.variants.keys() - {name}:
                raise ValueError(
                    f"variant {name!r} is against {variant.against!r}, which is no other variant"
                )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"a seed is given twice in {list(self.seeds)}")
        return self

    def source(self, dataset: str) -> str:
        """Return which known data set the study's ``dataset`` is."""
        return self.datasets[dataset].source or dataset


def load_study(name: str, overrides: Sequence[str] = ()) -> Study:
    """Return a packaged study or that in a YAML file, with ``key=value`` overrides of every recipe added.

    Raises UserError for an unknown study, broken YAML, and an unknown or mistyped key.
    """
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        if name not in study_names():
            raise UserError(f"no study {name!r}: choose one of {', '.join(study_names())}, or a .yaml file")
        path = Path(str(STUDIES / f"{name}.yaml"))
    values: Any = OmegaConf.to_container(read_mapping(path, "study", "seeds: [0, 1, 2]"))
    study = check_study(values, f"study {name!r}")
    added = {"overrides": [*study.overrides, *overrides]}
    return check_study(study.model_dump() | added, "override")


def check_study(values: Any, origin: str) -> Study:
    """Return ``values`` as a study; ``origin`` is how an error names their source. Raises UserError."""
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        telling = min(
            error.errors(), key=lambda one: one["type"] != "extra_forbidden"
        )  # a misspelt key is missing too
        raise UserError(f"{origin}: {_describe(telling)}") from None


def _describe(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"] if part != "[key]")
    if error["type"] == "extra_forbidden":
        *above, last = error["loc"]
        sections: dict[str, type[Section]] = {"variants": Variant, "datasets": StudyDataset}
        section = sections[above[0]] if above else Study
        (close,) = difflib.get_close_matches(last, section.model_fields, n=1, cutoff=0.0)
        return f"unknown key {key!r}; the nearest valid key is {close!r}"
    if error["type"] == "missing":
        return f"missing key {key!r}"
    if error["type"] == "string_pattern_mismatch":
        return f"name {error['input']!r} in {key!r}: take letters, digits and - . _"
    message: str = error["msg"].removeprefix("Value error, ")
    return f"key {key!r}: {message[0].lower()}{message[1:]}" if key else message
