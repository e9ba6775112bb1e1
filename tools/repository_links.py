"""Add the links that need the repository's address on GitHub, once: repository_links.py OWNER/REPOSITORY

Adds the Colab badge to README.md and to the notebook, the repository's URL to pyproject.toml and to
CITATION.cff.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTEBOOK = "docs/tour.ipynb"
BADGE = "images/colab.svg"  # the site loads no image from another server
COLAB = "https://colab.research.google.com/github"


def add_links(root: Path, repository: str) -> None:
    """Add the links to the files below a folder.

    Args:
        root: Checkout of the project.
        repository: Its name on GitHub, ``OWNER/REPOSITORY``.

    Raises:
        ValueError: If the name is not one of GitHub, or the links are there already.
    """
    if not re.fullmatch(r"[\w-]+/[\w.-]+", repository):
        raise ValueError(f"{repository!r} is not OWNER/REPOSITORY")
    url = f"https://github.com/{repository}"
    colab = f"({COLAB}/{repository}/blob/main/{NOTEBOOK})"
    insert(root / "README.md", "# mlffm-segdiff\n", f"\n[![Open in Colab](docs/{BADGE})]{colab}\n")
    insert(root / "pyproject.toml", "[project.urls]\n", f'Repository = "{url}"\n')
    insert(root / "CITATION.cff", "license: Apache-2.0\n", f'repository-code: "{url}"\n')
    path = root / NOTEBOOK
    notebook = json.loads(path.read_text("utf-8"))
    notebook["cells"][0]["source"][1:1] = ["\n", f"[![Open in Colab]({BADGE})]{colab}\n"]
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def insert(path: Path, after: str, text: str) -> None:
    """Insert text after the only line of a file that has the given content. Raises ValueError otherwise."""
    found = path.read_text("utf-8")
    if found.count(f"\n{after}") + found.startswith(after) != 1 or text in found:
        raise ValueError(f"{path}: the line {after.strip()!r} is missing, or has its link")
    path.write_text(found.replace(after, after + text, 1), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    add_links(ROOT, sys.argv[1])
