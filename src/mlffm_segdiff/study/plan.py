"""The plan of a study, exact enough to repeat any of its cells."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.files.atomic import write_text
from mlffm_segdiff.segmenters.device import AUTO
from mlffm_segdiff.segmenters.recipe import check_recipe
from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.training.run_folder import PACKAGES


@dataclass(frozen=True)
class StudyPlan:
    """The plan of a study.

    Attributes:
        name: Name of the study.
        baseline: The variant that others are compared with.
        part: The part of the split that is scored.
        evaluations: Sampling overrides of each evaluation.
        threads: Processor threads of a cell; the last digits of its scores depend on them.
        packages: Versions of Python and of the packages that scores depend on.
        cells: The cells in the order to run them.
        rank: Whether the report also ranks all variants.
        against: The variant that a variant is compared with, if that is not the baseline.
        device: Device of the cells, as for `find_device`.
    """

    name: str
    baseline: str
    part: str
    evaluations: Mapping[str, Sequence[str]]
    threads: int
    packages: Mapping[str, str]
    cells: Sequence[Cell]
    rank: bool = False
    against: Mapping[str, str] = field(default_factory=dict)
    device: str = AUTO

    def cell(self, key: str) -> Cell:
        """Return the only cell whose key starts with ``key``. Raises UserError for none or several."""
        found = {cell.key: cell for cell in self.cells if cell.key.startswith(key)}
        if len(found) != 1:
            raise UserError(
                f"{len(found)} cells of study {self.name!r} start with {key!r}; see its plan.json"
            )
        return next(iter(found.values()))


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that scores depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def write_plan(plan: StudyPlan, path: Path) -> None:
    """Write plan.json atomically. Raises UserError if it cannot be written."""
    cells = [{**vars(cell), "recipe": cell.recipe.model_dump(mode="json")} for cell in plan.cells]
    write_text(path, json.dumps({**vars(plan), "cells": cells}, indent=1) + "\n")


def read_plan(path: Path) -> StudyPlan:
    """Read plan.json. Raises UserError if it is missing or damaged."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for key in ("evaluations", "packages"):
            if not isinstance(values[key], dict):
                raise ValueError(f"{key} is {values[key]!r}")
        return StudyPlan(cells=[_cell(one, path) for one in values.pop("cells")], **values)
    except FileNotFoundError:
        raise UserError(
            f"{path.parent} on {platform.node()} is not a study folder, it has no {path.name}; check the path"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged ({reason_of(error)}); delete it and run the study again"
        ) from None


def _cell(values: Mapping[str, Any], path: Path) -> Cell:
    try:
        recipe = check_recipe(values["recipe"], f"{path}, cell {values['key']}")
    except UserError as error:
        raise UserError(f"{error}; use the version that planned it, or choose another folder") from None
    return Cell(**{**values, "recipe": recipe})
