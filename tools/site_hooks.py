"""What mkdocs needs to make a site of files that are read elsewhere too, and so are not written for it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OF_THE_PROJECT = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "ARCHITECTURE.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CITATION.cff": "CITATION.cff",
    "LICENSE": "LICENSE",
}
NOTEBOOK = DOCS / "tour.ipynb"
LISTED = ("performance", "quality", "results")
CODE = re.compile(r"(^```.*?^```$|^(?: {4}[^\n]*\n)+)", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"(?<=\]\()[\w./-]+(?=[)#])")
WORDS_THEN_LIST = re.compile(r"^((?!#|\||\s*[-*] |\s*\d+\. ).*\S)\n(?=[-*] |1\. )", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not a file below docs: the project's own pages, the notebook's, and lists of folders."""
    for name, place in OF_THE_PROJECT.items():
        files.append(File.generated(config, place, content=from_the_root(name)))
    files.append(File.generated(config, "tour.md", content=notebook_page(NOTEBOOK.read_text("utf-8"))))
    for folder in [path for top in LISTED for path in folders(DOCS / top)]:
        place = (folder.relative_to(DOCS) / "index.md").as_posix()
        hidden = InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, place, content=listing(folder), inclusion=hidden))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Read lists and links as other readers of Markdown do.

    A list may begin right under words, and a link to a folder goes to the list of its files.
    """
    parts = CODE.split(markdown)
    parts[::2] = [TARGET.sub(to_listing, WORDS_THEN_LIST.sub(r"\1\n\n", part)) for part in parts[::2]]
    return "".join(parts)


def from_the_root(name: str) -> str:
    """Return a file of the project's root with its links as seen from docs."""
    text = (ROOT / name).read_text("utf-8")
    return TARGET.sub(seen_from_docs, text) if name.endswith(".md") else text


def seen_from_docs(target: re.Match[str]) -> str:
    """Return a link's target, given from the project's root, as seen from docs."""
    return OF_THE_PROJECT.get(target[0], target[0].removeprefix("docs/"))


def to_listing(target: re.Match[str]) -> str:
    """Return a link's target, that of a folder with the page that lists it."""
    return f"{target[0].rstrip('/')}/index.md" if (DOCS / target[0]).is_dir() else target[0]


def folders(top: Path) -> Iterator[Path]:
    """Yield a folder and all below it."""
    yield top
    for path in sorted(top.iterdir()):
        if path.is_dir():
            yield from folders(path)


def listing(folder: Path) -> str:
    """Return a page that lists a folder's files and folders."""
    lines = [
        f"- [{path.name}]({path.name}/index.md)" if path.is_dir() else f"- [{path.name}]({path.name})"
        for path in sorted(folder.iterdir())
    ]
    return "\n".join([f"# {folder.relative_to(DOCS).as_posix()}", "", *lines, ""])


def notebook_page(notebook: str) -> str:
    """Return a notebook (JSON) as Markdown, without what its cells printed."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(notebook)["cells"]]
    return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells)
