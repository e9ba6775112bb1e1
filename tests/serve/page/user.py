"""What a user does on the page, and what they get."""

import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

OpenPage = Callable[..., Page]
Saved = Callable[[Page, str], Path]
Read = Callable[[Path], npt.NDArray[np.uint8]]
Place = tuple[float, float]

BOTH = pytest.mark.parametrize("browser", ["chromium", "firefox"], indirect=True)
"""Runs a test in both browsers; the others are run in Chromium only."""


def put(page: Page, *paths: Path) -> None:
    """Add images; the first is open at the end, if the server can segment it."""
    inputs = page.locator("input[type=file]")
    inputs.nth(0 if page.locator("#add").is_visible() else 1).set_input_files(paths)
    expect(page.locator("#case-name")).to_have_text(paths[0].name)
    expect(page.locator("#of-mask")).to_be_visible()


def set_samples(page: Page, count: int) -> None:
    """Set the number of samples of the next images."""
    page.get_by_role("button", name="Options").click()
    page.get_by_role("spinbutton", name="Samples").fill(str(count))
    page.locator("#options-box").get_by_role("button", name="Close").click()


def spot(page: Page, place: Place) -> Place:
    """The place on the screen of a point of the fitted image, given in shares of its width and height."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    return box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]


def shares(page: Page, size: tuple[int, int], place: Place) -> Place:
    """A point of the fitted image, in its pixels, as shares of the canvas."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    scale = min(box["width"] / size[0], box["height"] / size[1])
    left, top = (box["width"] - size[0] * scale) / 2, (box["height"] - size[1] * scale) / 2
    return (left + place[0] * scale) / box["width"], (top + place[1] * scale) / box["height"]


def drag(page: Page, size: tuple[int, int], places: Sequence[Place]) -> None:
    """Drag along points of the fitted image, in its pixels."""
    first, *others = (spot(page, shares(page, size, place)) for place in places)
    page.mouse.move(*first)
    page.mouse.down()
    for other in others:
        page.mouse.move(*other, steps=5)
    page.mouse.up()


def click(page: Page, size: tuple[int, int], place: Place) -> None:
    """Click a point of the fitted image, in its pixels."""
    page.mouse.click(*spot(page, shares(page, size, place)))


def choose(page: Page, tool: str) -> None:
    """Choose a tool."""
    page.locator("#tools").get_by_text(tool, exact=True).click()


def area(page: Page) -> int:
    """The measured area, once it is that of the current mask."""
    expect(page.locator("#measures")).not_to_have_class("stale")
    return int(page.locator("[data-measure=area] td").inner_text().removesuffix(" px").replace(",", ""))


def api_mask(url: str, path: Path, **options: object) -> npt.NDArray[np.uint8]:
    """The mask that the REST API gives."""
    files = {"image": (path.name, path.read_bytes())}
    answer = httpx2.post(f"{url}api/v1/segment", params={"format": "png", **options}, files=files, timeout=60)
    with Image.open(io.BytesIO(answer.content)) as image:
        return np.array(image)


def copied(page: Page, kind: str) -> str:
    """The text that "Copy as curl" or "Copy as Python" puts on the clipboard."""
    page.evaluate(
        "navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }"
    )
    page.evaluate("window.copied = null")
    page.get_by_role("button", name=f"Copy as {kind}").click()
    page.wait_for_function("window.copied !== null")
    return page.evaluate("window.copied")


def zipped(page: Page, saved: Saved, *parts: str, which: str = "all") -> zipfile.ZipFile:
    """The ZIP file of some kinds of files."""
    page.get_by_role("button", name="Download all").click()
    box = page.locator("#export-box")
    box.locator("#export-cases").select_option(which)
    for part in box.locator("[name=part]").all():
        part.set_checked(part.get_attribute("value") in parts)
    found = zipfile.ZipFile(saved(page, "Download ZIP"))
    page.keyboard.press("Escape")
    assert found.testzip() is None
    return found
