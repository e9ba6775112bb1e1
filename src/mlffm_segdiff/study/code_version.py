"""Which code trains and scores a cell."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import mlffm_segdiff

PARTS = (
    "config",
    "data",
    "diffusion",
    "losses",
    "metrics",
    "models",
    "segmenters",
    "training",
    "evaluation",
    "study/cells.py",
    "study/run_cell.py",
)
"""What a cell runs, by whole rooms. Verbs, a study's report, exports and benchmarks change no cell."""


@cache
def code_version() -> str:
    """Return the version of the code that trains and scores, as its files were when this was first asked.

    See `version_of`.
    """
    return version_of(Path(mlffm_segdiff.__file__).parent, PARTS)


def version_of(root: Path, parts: tuple[str, ...]) -> str:
    """Return 16 hexadecimal digits that change with the statements in parts (folders, files) of a package.

    Comments, docstrings and layout are not part of it, nor are recipes: a cell's id has its whole recipe. It
    is made from the files, so it notices changes that are not committed, and needs no git.
    """
    digest = hashlib.sha256()
    for file in _files(root, parts):
        digest.update(
            f"{file.relative_to(root).as_posix()}\n{statements(file.read_text('utf-8'))}\n".encode()
        )
    return digest.hexdigest()[:16]


def statements(source: str) -> str:
    """Return Python code without comments, docstrings and its own layout."""
    return ast.unparse(_WithoutTexts().visit(ast.parse(source)))


def _files(root: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    for part in parts:
        path = root / part
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


class _WithoutTexts(ast.NodeTransformer):
    """Drops strings that stand alone as a statement."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else node
