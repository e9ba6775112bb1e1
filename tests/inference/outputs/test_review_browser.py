"""The page in Chromium, opened from its file as a user opens it."""

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mlffm_segdiff.inference.outputs.predictions import COLUMNS

OpenPage = Callable[..., Page]
PATIENCE_MS = 20_000
HOSTILE = '<img src=x onerror="document.title=1">, "q" & \'s\' #50%.png'
BROKEN = "broken\nname,.png"
BY_UNCERTAINTY = [BROKEN, "refused.png", HOSTILE, "item9.png", "item10.png", "sure.png"]


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


def shown(page: Page) -> list[str]:
    """The names of the cases that can be seen, from first to last."""
    names = page.locator("li.case:visible").evaluate_all("items => items.map((i) => i.dataset.image)")
    assert isinstance(names, list)
    return names


def test_cases_are_sorted_by_doubt_and_every_image_is_found(open_page: OpenPage) -> None:
    page = open_page()
    assert shown(page) == BY_UNCERTAINTY
    assert page.title() == "Review of 6 cases"
    expect(page.get_by_role("heading", name="item9.png")).to_be_visible()
    expect(page.get_by_text("6 of 6 shown")).to_be_visible()
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()
        page.wait_for_function("(image) => image.naturalWidth === 8", arg=image.element_handle())


def test_names_are_text_and_nothing_else(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
    assert page.locator("img").count() == 4
    assert page.title() == "Review of 6 cases"


def test_the_order_can_be_chosen_and_numbers_in_names_count(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_label("Sort by").select_option("name")
    assert shown(page) == [HOSTILE, BROKEN, "item9.png", "item10.png", "refused.png", "sure.png"]
    page.get_by_label("Sort by").select_option("area")
    assert shown(page) == ["sure.png", "item9.png", "item10.png", HOSTILE, BROKEN, "refused.png"]
    page.get_by_label("Sort by").select_option("uncertainty")
    assert shown(page) == BY_UNCERTAINTY


def test_filters_narrow_the_cases_together_and_all_come_back(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_label("Name contains").fill("ITEM")
    assert shown(page) == ["item9.png", "item10.png"]
    expect(page.locator("output")).to_have_text("2 of 6 shown")
    page.get_by_label("several components").check()
    page.get_by_label("too dark").check()
    assert shown(page) == ["item10.png"]
    page.get_by_label("Name contains").fill("nobody")
    assert shown(page) == []
    expect(page.get_by_text("No cases match.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("output")).to_have_text("6 of 6 shown")
    assert shown(page) == BY_UNCERTAINTY
    page.get_by_label("Expected Dice").fill("0.6")
    assert shown(page) == [BROKEN, "refused.png", HOSTILE, "item9.png"]


def test_the_download_is_the_table_of_the_cases_shown(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page()
    page.get_by_label("Sort by").select_option("area")
    page.get_by_label("Expected Dice").fill("0.75")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    assert waiting.value.suggested_filename == "cases.csv"
    saved = tmp_path / "cases.csv"
    waiting.value.save_as(saved)
    with saved.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["image"] for row in rows] == ["item9.png", "item10.png", HOSTILE, BROKEN, "refused.png"]
    assert (rows[0]["flags"], rows[0]["expected_dice"], rows[0]["area"]) == (
        "touches_frame blurred",
        "0.55",
        "30",
    )
    assert (rows[3]["status"], rows[3]["error"]) == ("failed", 'it is "broken", sadly')


def test_the_keyboard_reaches_everything(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the cases")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Name contains")).to_be_focused()
    page.keyboard.type("sure")
    assert shown(page) == ["sure.png"]
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox", name="failed")).to_be_checked()
    assert shown(page) == []
    page.keyboard.press("Space")
    summary = page.locator("li.case:visible summary")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator("li.case:visible dd").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_needs_no_sideways_scrolling(open_page: OpenPage, scheme: str) -> None:
    page = open_page(viewport={"width": 400, "height": 800}, color_scheme=scheme)
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    ground, ink = (
        page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")
    )
    light, dark = (ground, ink) if scheme == "light" else (ink, ground)
    assert sum(map(int, light[4:-1].split(", "))) > 600 > 200 > sum(map(int, dark[4:-1].split(", ")))


def test_every_text_stands_out_from_its_ground(open_page: OpenPage) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 at least, by its formula of relative luminance."""
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        pairs = page.evaluate(
            """() => [...document.querySelectorAll("h1, h2, p, label, legend, summary, .marks li, button")]
            .map((element) => {
              let ground = element;
              const clear = "rgba(0, 0, 0, 0)";
              while (getComputedStyle(ground).backgroundColor === clear) ground = ground.parentElement;
              return [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor];
            })"""
        )
        assert min(contrast(*pair) for pair in pairs) >= 4.5


def contrast(one: str, other: str) -> float:
    low, high = sorted(luminance([int(v) / 255 for v in c[4:-1].split(", ")]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def luminance(rgb: list[float]) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_without_javascript_the_cases_are_there_in_order(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    expect(page.get_by_text("need JavaScript")).to_be_visible()
    expect(page.locator("form")).to_be_hidden()
    names = page.locator("h2").all_text_contents()
    assert names == BY_UNCERTAINTY
