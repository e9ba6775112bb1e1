"""The site builds without a warning, loads nothing from the network, and search works from disk."""

import re
import runpy
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("zensical", reason="the site needs the extra docs")
pytest.importorskip("mkdocstrings", reason="the site needs the extra docs")


class Page(HTMLParser):
    """What one page loads, where it links to, and the places in it that others may link to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag names."""
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" or "src" in found:
            self.loads.append(found.get("src", found.get("href", "")))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(ROOT / "tools" / "build_site.py"), str(folder)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_page_of_docs_is_there_and_in_the_navigation(site: Path, pages: dict[Path, Page]) -> None:
    home = pages[site / "index.html"]
    docs = ROOT / "docs"
    for page in docs.rglob("*.md"):
        address = page.relative_to(docs).with_suffix(".html").as_posix()
        assert f"./{address}" in home.links  # of the navigation; those in text have no ./


def test_no_page_loads_anything_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    assert not [(path.name, one) for path, page in pages.items() for one in page.loads if "//" in one]
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert styles
    assert "url(http" not in styles.replace('"', "").replace("'", "")
    assert "@import" not in styles


def test_every_link_within_the_site_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            name, anchor = map(unquote, urldefrag(link))
            if "://" in link or path.name == "404.html" or link.startswith(("mailto:", "javascript:")):
                continue
            target = (path.parent / name).resolve() if name else path
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append((path.relative_to(site).as_posix(), link))
    assert not broken


def test_images_of_the_pages_are_there(site: Path, pages: dict[Path, Page]) -> None:
    shown = [(path, one) for path, page in pages.items() for one in page.loads if path.name != "404.html"]
    assert len({one for _, one in shown if one.endswith((".png", ".jpg"))}) > 5
    assert not [one for path, one in shown if not (path.parent / unquote(one)).is_file()]


def test_functions_have_their_docstrings(site: Path) -> None:
    text = (site / "PYTHON.html").read_text(encoding="utf-8")
    assert "Segment images and return their results in the same order" in text
    assert "<p>Probability from which a pixel is lesion" in text


def test_lists_directly_below_text_get_the_empty_line_that_python_markdown_needs() -> None:
    for_python_markdown = runpy.run_path(str(ROOT / "tools" / "build_site.py"))["for_python_markdown"]
    assert for_python_markdown("Three things:\n- one\n- two\n") == "Three things:\n\n- one\n- two\n"
    unchanged = "```\ntext\n- no list\n```\n"
    assert for_python_markdown(unchanged) == unchanged


def test_search_works_on_pages_opened_from_disk(site: Path) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="a browser is driven with playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    if chromium is None:
        pytest.skip("no Chromium: search was NOT tested")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.get_by_role("button", name="Search").first.click()
        page.get_by_role("combobox", name="Search").fill("staple")
        page.get_by_text(re.compile(r"^[1-9]\d* results?$")).wait_for()
        browser.close()
    assert not [url for url in requests if not url.startswith("file:")]
