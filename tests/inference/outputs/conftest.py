import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mlffm_segdiff.inference.measures.lesion_measures import LesionMeasures
from mlffm_segdiff.inference.outputs.predictions import Row
from mlffm_segdiff.inference.outputs.review import ReviewWriter
from mlffm_segdiff.inference.outputs.writers import Output

OpenPage = Callable[..., Page]
PATIENCE_MS = 20_000

HOSTILE = '<img src=x onerror="document.title=1">, "q" & \'s\' #50%.png'
ROWS = (
    Row("sure.png", 8, 6, 0.95, 0.97, "", LesionMeasures(40, 0.5, 1, None, 20.0, 7.0, colours=2)),
    Row("item10.png", 8, 6, 0.71, 0.85, "several_components", LesionMeasures(9, 0.2, 2, None, 12.0, 3.4)),
    Row("item9.png", 8, 6, 0.55, 0.7, "touches_frame blurred", LesionMeasures(30, 0.6, 1, None, 22.0, 6.2)),
    Row(HOSTILE, 8, 6, 0.0, 0.0, "nothing_found", LesionMeasures(0, 0.0, 0, None, 0.0, 0.0)),
    Row("broken\nname,.png", status="failed", error='it is "broken", sadly'),
    Row("refused.png", status="refused", error="not a dermoscopic image"),
)


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    """The page of six cases as they come: certain, uncertain twice, nothing found, failed, and refused."""
    writer = ReviewWriter(Output(tmp_path))
    (tmp_path / "review").mkdir()
    for row in ROWS:
        stem = row.image.replace("/", "-").removesuffix(".png")
        writer.add_row(replace(row, stem=stem), None)
        if not row.failed:
            Image.fromarray(np.full((6, 8, 3), 120, np.uint8)).save(tmp_path / "review" / f"{stem}.jpg")
    writer.close()
    return tmp_path / "review.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; ends with its module, for as long as it lives asyncio takes its loop for the running one."""
    found = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    if found is None:
        pytest.skip("no Chromium here: the review page was NOT tested; install Debian's chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser, page_file: Path) -> Iterator[OpenPage]:
    """Open the page from its file: open_page(**options of a context).

    At the end its console must be clean, and it must have requested only files next to it.
    """
    complaints: list[str] = []
    contexts = []

    def open_one(**options: object) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
        page.on("request", lambda request: _note_outside(request.url, page_file.parent, complaints))
        page.goto(page_file.as_uri())
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


def _note_outside(url: str, folder: Path, complaints: list[str]) -> None:
    if not url.startswith((folder.as_uri(), "blob:")):
        complaints.append(f"outside: {url}")
