import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

PATIENCE_MS = 15_000
NAMES = {
    "chromium": ("chromium", "google-chrome", "chrome"),
    "firefox": ("firefox-esr", "firefox"),
}


class Server(Protocol):
    url: str

    def stop(self) -> None: ...


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The system's Chromium or Firefox.

    Without it its tests are skipped, and pytest's summary says so. Ends with its module: as long as it
    lives, asyncio takes its loop for the running one.
    """
    expect.set_options(timeout=PATIENCE_MS)
    kind = getattr(request, "param", "chromium")
    found = next(filter(None, map(shutil.which, NAMES[kind])), None)
    if found is None:
        pytest.skip(f"no {kind} here: the page was NOT tested in it; install Debian's {NAMES[kind][0]}")
    with sync_playwright() as playwright:
        if kind == "chromium":
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        else:
            starter = tmp_path_factory.mktemp("firefox") / "firefox"
            command = shlex.join([sys.executable, str(Path(__file__).with_name("stock_firefox.py")), found])
            starter.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            starter.chmod(0o700)
            browser = playwright.firefox.launch(channel="moz-firefox", executable_path=starter)
        yield browser
        browser.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, live: Server) -> Iterator[OpenPage]:
    """Open the server's page: open_page(**options of a context). Its console must stay clean at the end,
    and it must request nothing from other servers.
    """
    complaints: list[str] = []
    contexts = []

    def open_one(**options: object) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if _bad(message) else None)
        page.on("request", lambda request: complaints.append(request.url) if _foreign(request.url) else None)
        page.goto(live.url)
        expect(page.locator("#samples img")).to_have_count(8)
        return page

    def _foreign(url: str) -> bool:
        return not url.startswith((live.url, "data:", "blob:"))

    yield open_one
    for context in contexts:
        context.close()
    assert not complaints


def _bad(message: object) -> bool:
    """A refused or failed request is logged by the browser itself; that is what some tests are about."""
    return message.type in ("error", "warning") and "Failed to load resource" not in message.text


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    """An image, 64 wide and 48 high, with a red blob that fades from its middle outwards."""
    y, x = np.mgrid[:48, :64]
    red = 255 * np.clip(1.5 - np.hypot((x - 30) / 20, (y - 22) / 14), 0, 1)
    image = np.zeros((48, 64, 3), np.uint8)
    image[..., 0] = np.rint(red)
    path = tmp_path / "blob.png"
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def dark(tmp_path: Path) -> Path:
    """An image, 64 wide and 48 high, without red enough for a lesion."""
    path = tmp_path / "dark.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 60, (48, 64, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def blobs(tmp_path: Path, blob: Path) -> Callable[[int], list[Path]]:
    """Copies of the blob, img_1.png and so on."""

    def copies(count: int) -> list[Path]:
        paths = [tmp_path / f"img_{number + 1}.png" for number in range(count)]
        for path in paths:
            path.write_bytes(blob.read_bytes())
        return paths

    return copies


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Page, str], Path]:
    """Press a button of a page and return the file it saves: saved(page, "Mask (PNG)")."""

    def press(page: Page, name: str) -> Path:
        with page.expect_download() as waiting:
            page.get_by_role("button", name=name).click()
        path = tmp_path / "saved" / waiting.value.suggested_filename
        waiting.value.save_as(path)
        waiting.value.delete()  # Firefox would give the next one of this name a number
        return path

    return press


@pytest.fixture
def pixels() -> Callable[[Path], npt.NDArray[np.uint8]]:
    """Read a grey image."""

    def read(path: Path) -> npt.NDArray[np.uint8]:
        with Image.open(path) as image:
            assert image.mode == "L"
            return np.array(image)

    return read
