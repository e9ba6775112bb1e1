"""Identifies the code that trained and scored a cell."""

import ast
import hashlib
import sys
from functools import cache
from pathlib import Path
from typing import Any

import mlffm_segdiff
from mlffm_segdiff.config.registry import import_target
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.losses import LOSSES
from mlffm_segdiff.models.registry import TargetModelConfig

UNUSED = ("cli", "study", "serve", "benchmark", "export")
"""Packages that do not count: no cell runs them, except `study`.

What `study` decides for a cell, the recipe, split and sampling, is recorded with its weights and scores; most
of it is about plans and reports.
"""


@cache
def code_digest() -> str:
    """Return the digest of the code as of its first use in this process. See `digest_of`."""
    return digest_of(Path(mlffm_segdiff.__file__).parent, UNUSED)


def code_of(recipe: Recipe) -> str:
    """Return the digest of the code that trains and scores by a recipe.

    It is that of `code_digest`, extended by the module that defines the user's own model or loss, if there is
    one. What that module imports does not count.
    """
    model, loss = recipe.model, recipe.loss
    parts = (
        import_target(model.target, "model.target") if isinstance(model, TargetModelConfig) else type(model),
        LOSSES.require(loss.name) if loss.target is None else import_target(loss.target, "loss.target"),
    )
    own = sorted({path for part in parts if (path := _own_module(part)) is not None})
    if not own:
        return code_digest()
    return _digest(code_digest(), *map(_statements, own))


def _own_module(part: Any) -> Path | None:
    """Return the file of the module that defines a part; None if it is of this package or compiled."""
    name = str(getattr(part, "__module__", ""))
    file = getattr(sys.modules.get(name), "__file__", None)
    if name.partition(".")[0] == mlffm_segdiff.__name__ or file is None or not file.endswith(".py"):
        return None
    return Path(file)


def digest_of(root: Path, unused: tuple[str, ...] = ()) -> str:
    """Compute a digest of a package's statements.

    Comments, docstrings and layout do not count. Reads files, so it sees uncommitted changes.

    Args:
        root: Folder of the package.
        unused: Subfolders to leave out.

    Returns:
        16 hexadecimal digits.
    """
    files = {path.relative_to(root): path for path in root.rglob("*.py")}
    return _digest(
        *(
            f"{name.as_posix()}\n{_statements(files[name])}\n"
            for name in sorted(files)
            if name.parts[0] not in unused
        )
    )


def _digest(*texts: str) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:16]


def _statements(path: Path) -> str:
    return ast.unparse(_WithoutDocstrings().visit(ast.parse(path.read_text(encoding="utf-8"))))


class _WithoutDocstrings(ast.NodeTransformer):
    """Drops strings that are statements, such as docstrings."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node
