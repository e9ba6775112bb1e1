"""Identifies the code that trained and scored a cell."""

import ast
import hashlib
from functools import cache
from pathlib import Path

import mlffm_segdiff

UNUSED = ("cli", "study", "serve", "benchmark", "export")
"""Packages that do not count: no cell runs them, except `study`.

What `study` decides for a cell, the recipe, split and sampling, is recorded with its weights and scores; most
of it is about plans and reports.
"""


@cache
def code_digest() -> str:
    """Return the digest of the code as of its first use in this process. See `digest_of`."""
    return digest_of(Path(mlffm_segdiff.__file__).parent, UNUSED)


def digest_of(root: Path, unused: tuple[str, ...] = ()) -> str:
    """Compute a digest of a package's statements.

    Comments, docstrings and layout do not count. Reads files, so it sees uncommitted changes.

    Args:
        root: Folder of the package.
        unused: Subfolders to leave out.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if relative.parts[0] not in unused:
            tree = _WithoutDocstrings().visit(ast.parse(path.read_text(encoding="utf-8")))
            digest.update(f"{relative.as_posix()}\n{ast.unparse(tree)}\n".encode())
    return digest.hexdigest()[:16]


class _WithoutDocstrings(ast.NodeTransformer):
    """Drops strings that are statements, such as docstrings."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node
