"""The steps of a user on the page, in Chromium."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import httpx2
import numpy as np
import numpy.typing as npt
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.serve.keys import ApiKeys

OpenPage = Callable[..., Page]
Saved = Callable[[Page, str], Path]
Read = Callable[[Path], npt.NDArray[np.uint8]]


def area(page: Page) -> int:
    """The measured area, once it is that of the current mask."""
    expect(page.locator("#measures")).not_to_have_class("stale")
    return int(page.locator("[data-measure=area] td").inner_text().removesuffix(" px").replace(",", ""))


def api_mask(live, path: Path, **options: object) -> npt.NDArray[np.uint8]:
    files = {"image": (path.name, path.read_bytes())}
    answer = httpx2.post(f"{live.url}api/v1/segment", params={"format": "png", **options}, files=files)
    with Image.open(io.BytesIO(answer.content)) as image:
        return np.array(image)


def put(page: Page, path: Path) -> None:
    page.get_by_label("Choose images").set_input_files(path)
    expect(page.locator("#case-name")).to_have_text(path.name)


def draw_samples(page: Page, count: int) -> None:
    """Set the number of samples of the next images."""
    page.get_by_text("Segmentation options").click()
    page.get_by_role("spinbutton", name="Samples").fill(str(count))


def paint(page: Page, tool: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a line with a tool; places as shares of the image's width and height."""
    page.get_by_text(tool, exact=True).click()
    page.locator("#frame").evaluate("frame => frame.scrollIntoView({ block: 'center' })")
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=5)
    page.mouse.up()


def test_from_an_image_to_a_corrected_mask(
    live, open_page: OpenPage, blob: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page(viewport={"width": 1280, "height": 900})
    draw_samples(page, 5)
    put(page, blob)
    first = api_mask(live, blob, **{"sampling.samples": 5})
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), first)
    assert area(page) == (first > 0).sum()

    page.get_by_label("Threshold").fill("0.8")
    expect(page.locator("#threshold-value")).to_have_text("0.80")
    higher = api_mask(live, blob, threshold=0.8, **{"sampling.samples": 5})
    assert 0 < (higher > 0).sum() < (first > 0).sum()
    assert area(page) == (higher > 0).sum()

    paint(page, "Brush", (0.05, 0.9), (0.4, 0.9))
    painted = pixels(saved(page, "Mask (PNG)"))
    new = (painted > 0) & (higher == 0)
    assert (painted[higher > 0] == 255).all()
    assert (np.abs(np.flatnonzero(new.any(1)) - 43) <= 2).all()
    assert np.ptp(np.flatnonzero(new.any(0))) == pytest.approx(0.35 * 64, abs=4)
    assert area(page) == (painted > 0).sum()

    paint(page, "Eraser", (0, 0.9), (0.5, 0.9))
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), higher)
    page.get_by_role("button", name="Undo").click()
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), painted)
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), higher)
    page.get_by_role("button", name="Redo").click()
    assert area(page) == (painted > 0).sum()

    contour = json.loads(saved(page, "Contour (GeoJSON)").read_text())
    assert sum(feature["properties"]["area"] for feature in contour["features"]) == (painted > 0).sum()
    (row,) = csv.DictReader(io.StringIO(saved(page, "All measures (CSV)").read_text()))
    assert (row["image"], row["threshold"], row["corrected"]) == ("blob.png", "0.8", "true")
    assert int(row["area"]) == (painted > 0).sum()

    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(page.locator("#threshold-value")).to_have_text("0.50")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), first)


def test_all_of_it_by_keyboard(open_page: OpenPage, blob: Path, saved: Saved, pixels: Read) -> None:
    page = open_page(reduced_motion="reduce")
    put(page, blob)
    before = area(page)
    page.get_by_label("Threshold").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#threshold-value")).to_have_text("0.51")
    canvas = page.get_by_role("application")
    canvas.focus()
    page.keyboard.press("e")
    expect(page.get_by_role("radio", name="Eraser")).to_be_checked()
    page.keyboard.press("]")
    page.keyboard.press("Space")
    erased = pixels(saved(page, "Mask (PNG)"))
    assert erased[24, 32] == 0
    assert 0 < (erased > 0).sum() < before
    canvas.focus()
    page.keyboard.press("b")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.down("Space")
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    page.keyboard.up("Space")
    painted = pixels(saved(page, "Mask (PNG)"))
    assert (painted > 0).sum() > (erased > 0).sum()
    expect(page.get_by_role("status")).to_contain_text("the lesion covers")


def test_layers_are_drawn(open_page: OpenPage, blob: Path) -> None:
    page = open_page()
    draw_samples(page, 5)
    put(page, blob)
    canvas_url = "() => document.querySelector('canvas').toDataURL()"
    seen = {page.evaluate(canvas_url)}
    page.get_by_role("switch", name="Outline").uncheck()
    for name in ("Probability", "Uncertainty", "Sample 1", "Sample 5"):
        page.evaluate("() => new Promise(requestAnimationFrame)")
        seen.add(page.evaluate(canvas_url))
        page.get_by_role("switch", name=name).check()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    seen.add(page.evaluate(canvas_url))
    assert len(seen) == 6
    page.get_by_role("button", name="Zoom in").click()
    expect(page.locator("#zoom")).to_have_text("150 %")


def test_settings_reach_the_server_and_the_mask(
    live, open_page: OpenPage, tmp_path: Path, saved: Saved, pixels: Read, red
) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[4:30, 4:40, 0] = 255
    image[12:20, 12:20, 0] = 0
    image[36:44, 50:60, 0] = 255
    path = tmp_path / "two parts.png"
    Image.fromarray(image).save(path)
    page = open_page()
    page.get_by_text("Segmentation options").click()
    expect(page.get_by_role("spinbutton", name="Steps")).to_be_disabled()
    style = page.get_by_label("Annotation style")
    expect(style.locator("option")).to_have_text(["Any", "ISIC 2018", "PH2"])
    style.select_option("ph2")
    page.get_by_label("Average over mirror images").check()
    page.get_by_label("Only the largest component").check()
    page.get_by_label("Fill holes").check()
    put(page, path)
    assert red.calls[-1] == (1, Sampling(style="ph2", mirror=True))
    expected = api_mask(live, path, largest=True, fill_holes=True)
    assert 0 < (expected > 0).sum() < (api_mask(live, path, fill_holes=True) > 0).sum()
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), expected)
    assert area(page) == (expected > 0).sum()
    expect(page.get_by_role("switch", name="Uncertainty")).to_be_disabled()
    page.get_by_label("Threshold").fill("0.30")
    lower = api_mask(live, path, largest=True, fill_holes=True, threshold=0.3)
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), lower)


def test_several_images_and_samples_of_the_package(
    open_page: OpenPage, blob: Path, tmp_path: Path, saved: Saved
) -> None:
    page = open_page()
    page.get_by_role("button", name="Sample 3").click()
    expect(page.locator("#case-name")).to_have_text("sample_3.png")
    other = tmp_path / 'second, "quoted".png'
    other.write_bytes(blob.read_bytes())
    page.get_by_label("Choose images").set_input_files([blob, other])
    strip = page.get_by_role("navigation", name="Your images").get_by_role("button")
    expect(strip).to_have_count(3)
    expect(page.get_by_text("done")).to_have_count(3)
    strip.nth(2).click()
    expect(page.locator("#case-name")).to_have_text(other.name)
    rows = list(csv.DictReader(io.StringIO(saved(page, "All measures (CSV)").read_text())))
    assert [row["image"] for row in rows] == ["sample_3.png", "blob.png", other.name]


def test_a_wrong_file_is_named_and_stops_nothing(open_page: OpenPage, blob: Path, tmp_path: Path) -> None:
    page = open_page()
    notes = tmp_path / "notes.txt"
    notes.write_text("no image")
    page.get_by_label("Choose images").set_input_files([notes, blob])
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("notes.txt could not be segmented")
    expect(alert).to_contain_text("convert it to PNG or JPEG")
    expect(alert.get_by_role("button")).to_have_count(0)
    page.get_by_role("button", name="blob.png").click()
    expect(page.locator("#case-name")).to_have_text("blob.png")
    expect(alert).to_be_hidden()


def test_a_server_that_stops_in_the_middle_costs_no_work(
    live, open_page: OpenPage, blob: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    put(page, blob)
    before = pixels(saved(page, "Mask (PNG)"))
    live.stop()
    paint(page, "Brush", (0.05, 0.9), (0.4, 0.9))
    status = page.get_by_role("status")
    expect(status).to_contain_text("The server does not answer: the measures are of an earlier mask")
    after = pixels(saved(page, "Mask (PNG)"))
    assert (after > 0).sum() > (before > 0).sum()
    page.get_by_role("button", name="Contour (GeoJSON)").click()
    expect(status).to_contain_text("nothing was saved")
    page.get_by_label("Choose images").set_input_files(blob)
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 1280, "height": 900}},
        {"viewport": {"width": 400, "height": 800}, "has_touch": True},
        {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    ],
    ids=["wide", "narrow", "dark"],
)
def test_nothing_is_cut_off_or_hard_to_read(
    open_page: OpenPage, blob: Path, options: dict[str, object]
) -> None:
    page = open_page(**options)
    put(page, blob)
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    boxes = [found.bounding_box() for found in page.locator("button:visible").all()]
    outside = [box for box in boxes if box["x"] < 0 or box["x"] + box["width"] > width]
    assert len(outside) <= 8  # the samples of a narrow page scroll
    page.get_by_role("status").evaluate("status => status.classList.add('past')")
    found = Axe().run(page)
    assert not found.response["violations"], found.generate_report()


def test_the_page_asks_for_the_key_and_keeps_it(browser: Browser, start_live) -> None:
    live = start_live(keys=ApiKeys(["0123456789abcdef"]))
    context = browser.new_context()
    page = context.new_page()
    page.goto(live.url)
    dialog, send = page.locator("#key-box"), page.get_by_role("button", name="Use this key")
    expect(dialog).to_be_visible()
    expect(page.locator("#key-refused")).to_be_hidden()
    page.locator("#key").fill("another key".replace(" ", "-") * 2)
    send.click()
    expect(page.locator("#key-refused")).to_be_visible()
    page.locator("#key").fill("0123456789abcdef")
    send.click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#samples img")).to_have_count(8)
    page.reload()
    expect(page.locator("#samples img")).to_have_count(8)
    expect(dialog).to_be_hidden()
    context.close()
