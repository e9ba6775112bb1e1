"""study.lock: the plan of a study, exact enough to run any cell of it again."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.segmenters.recipe import check_recipe
from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.training.run_folder import PACKAGES


@dataclass(frozen=True)
class StudyLock:
    """A study as it is run. threads: of a cell; the last bits of its weights depend on their number.

    code: version of the code that planned it; a cell has its own. packages: name to version, with python's.
    evaluations: name to sampling overrides. against: variant to the one that it is compared with, if that is
    not the baseline.
    """

    name: str
    kind: str
    baseline: str
    part: str
    evaluations: Mapping[str, Sequence[str]]
    threads: int
    code: str
    packages: Mapping[str, str]
    cells: Sequence[Cell]
    against: Mapping[str, str] = field(default_factory=dict)

    def cell(self, key: str) -> Cell:
        """Return the cell with this key. Raises UserError if there is none."""
        for cell in self.cells:
            if cell.key == key:
                return cell
        raise UserError(f"study {self.name!r} has no cell {key}; its study.lock lists them")


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that scores depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def write_lock(lock: StudyLock, path: Path) -> None:
    """Write study.lock, whole or not at all. Raises UserError where it cannot be written."""
    cells = {cell.key: {**vars(cell), "recipe": cell.recipe.model_dump(mode="json")} for cell in lock.cells}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({**vars(lock), "cells": cells}, indent=1) + "\n", encoding="utf-8")


def read_lock(path: Path) -> StudyLock:
    """Return the plan in study.lock. Raises UserError if it is missing or damaged."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        cells = [_cell(one) for one in values.pop("cells").values()]
        return StudyLock(cells=cells, **values)
    except FileNotFoundError:
        raise UserError(f"no study at {path.parent}: it has no {path.name}; check the folder") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} is damaged ({reason}); delete it and run the study's command again"
        ) from None


def _cell(values: Mapping[str, Any]) -> Cell:
    origin = f"study.lock, cell {values['key']}, planned by code {values['code']}"
    try:
        recipe = check_recipe(values["recipe"], origin)
    except UserError as error:
        raise UserError(f"{error}; check out that code, or choose another -o") from None
    return Cell(**{**values, "recipe": recipe})
