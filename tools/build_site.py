"""Build the documentation site in build/site, or in the folder given as argument.

The pages of docs/ are also read on their own, so the site is built from a copy to which the project's
pages (README.md and others), the notebook as a page and lists of the files in folders are added.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PROJECT_PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "ARCHITECTURE.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "RELEASING.md": "RELEASING.md",
    "CITATION.cff": "CITATION.cff",
    "LICENSE": "LICENSE",
}
LISTED_FOLDERS = ("performance", "quality", "results")
CODE_BLOCK = re.compile(r"(^```.*?^```$|^(?: {4}[^\n]*\n)+)", re.MULTILINE | re.DOTALL)
LINK_TARGET = re.compile(r"(?<=\]\()[\w./-]+(?=[)#])")
LIST_AFTER_TEXT = re.compile(r"^((?!#|\||\s*[-*] |\s*\d+\. ).*\S)\n(?=[-*] |1\. )", re.MULTILINE)


def main(site: Path) -> int:
    """Build the site strictly and return the exit status."""
    with tempfile.TemporaryDirectory() as project:
        write_pages(Path(project, "docs"))
        shutil.copy(ROOT / "mkdocs.yml", project)
        command = [sys.executable, "-m", "zensical", "build", "--strict"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run(command, cwd=project, env=environment, check=False)
        if done.returncode == 0:
            shutil.rmtree(site, ignore_errors=True)
            shutil.copytree(Path(project, "site"), site)
    return done.returncode


def write_pages(target: Path) -> None:
    """Copy docs/ without the cells of studies to target, and add the generated pages."""
    shutil.copytree(DOCS, target, ignore=shutil.ignore_patterns("cells"))
    for name, copy in PROJECT_PAGES.items():
        text = (ROOT / name).read_text("utf-8")
        (target / copy).write_text(
            LINK_TARGET.sub(link_from_docs, text) if name.endswith(".md") else text, encoding="utf-8"
        )
    (target / "tour.md").write_text(notebook_page((DOCS / "tour.ipynb").read_text("utf-8")), encoding="utf-8")
    for page in target.glob("*.md"):
        page.write_text(for_python_markdown(page.read_text("utf-8")), encoding="utf-8")
    for folder in [path for top in LISTED_FOLDERS for path in walk(DOCS / top)]:
        (target / folder.relative_to(DOCS) / "index.md").write_text(listing(folder), encoding="utf-8")


def for_python_markdown(markdown: str) -> str:
    """Separate lists from the text above them, and point links at pages of the site."""
    parts = CODE_BLOCK.split(markdown)
    parts[::2] = [LINK_TARGET.sub(site_target, LIST_AFTER_TEXT.sub(r"\1\n\n", part)) for part in parts[::2]]
    return "".join(parts)


def link_from_docs(target: re.Match[str]) -> str:
    """Return the target of a link in the project's root, as seen from docs/."""
    return PROJECT_PAGES.get(target[0], target[0].removeprefix("docs/"))


def site_target(target: re.Match[str]) -> str:
    """Return the target of a link in docs/ on the site: project pages are there too, folders have a list."""
    if target[0].startswith("../"):
        return PROJECT_PAGES.get(target[0].removeprefix("../"), target[0])
    return f"{target[0].rstrip('/')}/index.md" if (DOCS / target[0]).is_dir() else target[0]


def walk(top: Path) -> Iterator[Path]:
    """Yield a folder and all folders below it."""
    yield top
    for path in sorted(top.iterdir()):
        if path.is_dir():
            yield from walk(path)


def listing(folder: Path) -> str:
    """Return a page that lists a folder's files and folders."""
    lines = [
        f"- [{path.name}]({path.name}/index.md)" if path.is_dir() else f"- [{path.name}]({path.name})"
        for path in sorted(folder.iterdir())
    ]
    return "\n".join([f"# {folder.relative_to(DOCS).as_posix()}", "", *lines, ""])


def notebook_page(notebook: str) -> str:
    """Return a notebook (JSON) as Markdown, without its outputs."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(notebook)["cells"]]
    return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "build" / "site"))
