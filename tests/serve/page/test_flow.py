"""The steps of a user on the page, in a browser."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, expect
from serve.page.user import BOTH, OpenPage, Read, Saved, api_mask, area, choose, drag, put, set_samples

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.serve.keys import ApiKeys

SIZE = 64, 48


@BOTH
def test_from_an_image_to_a_corrected_mask(
    live, open_page: OpenPage, blob: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page(viewport={"width": 1280, "height": 900})
    set_samples(page, 5)
    put(page, blob)
    first = api_mask(live.url, blob, **{"sampling.samples": 5})
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), first)
    assert area(page) == (first > 0).sum()

    page.get_by_label("Threshold").fill("0.8")
    expect(page.locator("#threshold-value")).to_have_text("0.80")
    higher = api_mask(live.url, blob, threshold=0.8, **{"sampling.samples": 5})
    assert 0 < (higher > 0).sum() < (first > 0).sum()
    assert area(page) == (higher > 0).sum()

    choose(page, "Brush")
    drag(page, SIZE, [(0.05 * 64, 0.9 * 48), (0.4 * 64, 0.9 * 48)])
    painted = pixels(saved(page, "Mask (PNG)"))
    new = (painted > 0) & (higher == 0)
    assert (painted[higher > 0] == 255).all()
    assert (np.abs(np.flatnonzero(new.any(1)) - 43) <= 2).all()
    assert np.ptp(np.flatnonzero(new.any(0))) == pytest.approx(0.35 * 64, abs=4)
    assert area(page) == (painted > 0).sum()

    choose(page, "Eraser")
    drag(page, SIZE, [(0, 0.9 * 48), (0.5 * 64, 0.9 * 48)])
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), higher)
    page.get_by_role("button", name="Undo").click()
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), painted)
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), higher)
    page.get_by_role("button", name="Redo").click()
    assert area(page) == (painted > 0).sum()

    contour = json.loads(saved(page, "Contour (GeoJSON)").read_text())
    assert sum(feature["properties"]["area"] for feature in contour["features"]) == (painted > 0).sum()
    page.get_by_role("button", name="Download all").click()
    (row,) = csv.DictReader(io.StringIO(saved(page, "Measures only (CSV)").read_text()))
    page.keyboard.press("Escape")
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
    set_samples(page, 5)
    put(page, blob)
    drawn = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
        done(document.querySelector("#canvas").toDataURL()))))"""
    seen = [page.evaluate(drawn)]
    page.get_by_role("switch", name="Outline").uncheck()
    seen.append(page.evaluate(drawn))
    page.get_by_role("slider", name="Fill").fill("0.8")
    for name in ("Probability", "Uncertainty", "Sample 1", "Sample 5", "Compare with the image"):
        seen.append(page.evaluate(drawn))
        page.get_by_role("switch", name=name).check()
    seen.append(page.evaluate(drawn))
    page.get_by_label("Compare: without mask on the left").fill("0.1")
    seen.append(page.evaluate(drawn))
    assert len(set(seen)) == len(seen) == 9
    page.keyboard.down("h")
    hidden = page.evaluate(drawn)
    page.keyboard.up("h")
    assert (hidden not in seen, page.evaluate(drawn)) == (True, seen[-1])


def test_the_mask_is_not_hidden_for_good(open_page: OpenPage, blob: Path) -> None:
    """The key is let go with Control held, in a dialog, or in another window."""
    page = open_page()
    put(page, blob)
    drawn = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
        done(document.querySelector("#canvas").toDataURL()))))"""
    shown = page.evaluate(drawn)

    def hide() -> None:
        page.keyboard.down("h")
        assert page.evaluate(drawn) != shown

    hide()
    page.keyboard.down("Control")
    page.keyboard.up("h")
    page.keyboard.up("Control")
    assert page.evaluate(drawn) == shown
    hide()
    page.keyboard.press("?")
    page.keyboard.up("h")
    page.keyboard.press("Escape")
    assert page.evaluate(drawn) == shown
    hide()
    page.evaluate("dispatchEvent(new Event('blur'))")
    assert page.evaluate(drawn) == shown
    page.keyboard.up("h")


def test_without_samples_uncertainty_is_that_of_the_label(open_page: OpenPage, blob: Path) -> None:
    page = open_page()
    put(page, blob)
    page.get_by_role("switch", name="Uncertainty").check()
    expect(page.locator("#uncertainty-top")).to_have_text("0.50")


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
    page.get_by_role("button", name="Options").click()
    expect(page.get_by_role("spinbutton", name="Steps")).to_be_disabled()
    style = page.get_by_label("Annotation style")
    expect(style.locator("option")).to_have_text(["Any", "ISIC 2018", "PH2"])
    style.select_option("ph2")
    options = page.locator("#options-box")
    page.get_by_label("Average over mirror images").check()
    page.get_by_label("Only the largest component").check()
    options.get_by_label("Fill holes").check()
    options.get_by_role("button", name="Close").click()
    put(page, path)
    assert red.calls[-1] == (1, SamplingConfig(style="ph2", mirror=True))
    expected = api_mask(live.url, path, largest=True, fill_holes=True)
    assert 0 < (expected > 0).sum() < (api_mask(live.url, path, fill_holes=True) > 0).sum()
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), expected)
    assert area(page) == (expected > 0).sum()
    page.get_by_label("Threshold").fill("0.30")
    lower = api_mask(live.url, path, largest=True, fill_holes=True, threshold=0.3)
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), lower)


def test_several_images_and_samples_of_the_package(
    open_page: OpenPage, blob: Path, tmp_path: Path, saved: Saved
) -> None:
    page = open_page()
    page.get_by_role("button", name="Sample 3").click()
    expect(page.locator("#case-name")).to_have_text("sample_3.png")
    other = tmp_path / 'second, "quoted".png'
    other.write_bytes(blob.read_bytes())
    put(page, blob, other)
    rows = page.get_by_role("listbox", name="Your images").locator("li")
    expect(rows).to_have_count(3)
    expect(page.locator("#progress-box")).to_be_hidden()
    rows.nth(2).click()
    expect(page.locator("#case-name")).to_have_text(other.name)
    page.get_by_role("button", name="Download all").click()
    table = list(csv.DictReader(io.StringIO(saved(page, "Measures only (CSV)").read_text())))
    assert [row["image"] for row in table] == ["sample_3.png", "blob.png", other.name]


def test_a_wrong_file_is_named_and_stops_nothing(open_page: OpenPage, blob: Path, tmp_path: Path) -> None:
    page = open_page()
    notes = tmp_path / "notes.txt"
    notes.write_text("no image")
    page.get_by_label("Choose images").set_input_files([notes, blob])
    expect(page.locator("#case-name")).to_have_text("blob.png")
    expect(page.locator("#of-mask")).to_be_visible()
    alert = page.get_by_role("alert")
    expect(alert).to_be_hidden()
    rows = page.locator("#list li")
    expect(rows.nth(0)).to_contain_text("failed")
    rows.nth(0).click()
    expect(alert).to_contain_text("notes.txt could not be segmented")
    expect(alert).to_contain_text("convert it to PNG or JPEG")
    expect(alert.get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("button", name="Accept", exact=True)).to_be_disabled()
    page.wait_for_function("""() => {
        const canvas = document.querySelector("#canvas");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.every((value) => value === 0);
    }""")
    rows.nth(1).click()
    expect(alert).to_be_hidden()


@pytest.mark.parametrize("name", ["a\u2028b.png", "a\u2029b.png"])
def test_a_name_with_a_line_separator_is_a_name(open_page: OpenPage, blob: Path, name: str) -> None:
    """JSON has these characters as they are, while regular expressions see the end of a line."""
    page = open_page()
    page.get_by_label("Choose images").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": blob.read_bytes()}
    )
    expect(page.locator("#of-mask")).to_be_visible()
    assert page.locator("#case-name").text_content() == name


def test_a_sample_that_the_server_refuses_is_no_image(open_page: OpenPage) -> None:
    page = open_page()
    page.route("**/samples/*", lambda route: route.fulfill(status=404, body="not found"))
    page.get_by_role("button", name="Sample 3").click()
    expect(page.get_by_role("status").first).to_contain_text("status 404: no sample")
    expect(page.locator("#list li")).to_have_count(0)


def test_if_all_fail_the_first_is_shown(open_page: OpenPage, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.txt", "b.txt")]
    for path in paths:
        path.write_text("no image")
    page = open_page()
    page.get_by_label("Choose images").set_input_files(paths)
    expect(page.get_by_role("alert")).to_contain_text("a.txt could not be segmented")


def test_a_server_that_stops_in_the_middle_costs_no_work(
    live, start_live, open_page: OpenPage, blob: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    put(page, blob)
    before = pixels(saved(page, "Mask (PNG)"))
    live.stop()
    choose(page, "Brush")
    drag(page, SIZE, [(4, 43), (25, 43)])
    status = page.get_by_role("status").first
    expect(status).to_contain_text("The server does not answer: the measures are of an earlier mask")
    after = pixels(saved(page, "Mask (PNG)"))
    assert (after > 0).sum() > (before > 0).sum()
    page.get_by_role("button", name="Contour (GeoJSON)").click()
    expect(status).to_contain_text("nothing was saved")
    page.locator("#add input").set_input_files(blob)
    expect(page.locator("#progress-text")).to_have_text("1 of 2, the server does not answer")
    expect(page.locator("#list li").nth(1)).to_contain_text("waiting")
    start_live(port=live.address[1])
    expect(page.locator("#list li").nth(1)).to_contain_text("seen")
    expect(page.locator("#progress-box")).to_be_hidden()


WIDTHS = {"wide": (1280, 720), "middle": (900, 900), "narrow": (400, 800), "least": (320, 568)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off_or_hard_to_read(
    open_page: OpenPage, blobs: Callable[[int], list[Path]], tmp_path: Path, red, width: str, scheme: str
) -> None:
    size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
    page = open_page(viewport=size, color_scheme=scheme, has_touch=size["width"] < 500)

    def judge() -> None:
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
        assert page.evaluate("document.querySelector('main').scrollWidth") <= size["width"]
        found = Axe().run(page)
        assert not found.response["violations"], found.generate_report()

    judge()
    put(page, *blobs(3))
    expect(page.locator("#progress-box")).to_be_hidden()
    boxes = [found.bounding_box() for found in page.locator("button:visible").all()]
    assert not [box for box in boxes if box["x"] < 0 or box["x"] + box["width"] > size["width"]]
    judge()
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    for name in ("Options", "Download all", "Help", "Remove everything", "Copy as curl"):
        page.get_by_role("button", name=name, exact=True).click()
        judge()
        page.keyboard.press("Escape")
    notes = tmp_path / "notes.txt"
    notes.write_text("no image")
    page.locator("#add input").set_input_files(notes)
    expect(page.get_by_role("alert")).to_be_visible()
    judge()
    red.gate.clear()
    page.locator("#add input").set_input_files(blobs(2))
    expect(page.locator("#progress-box")).to_be_visible()
    judge()
    red.gate.set()


def test_every_control_says_what_it_does(open_page: OpenPage, blob: Path) -> None:
    page = open_page()
    put(page, blob)
    controls = (
        "header button, #stage button, #panel button, #queue button, select, #layers input, #tools input"
    )
    silent = page.locator(controls).evaluate_all(
        "(found) => found.filter((one) => !one.closest('[title]')).map((one) => one.outerHTML)"
    )
    assert [one for one in silent if "Sample" not in one] == []


@BOTH
def test_the_help_shows_each_tool_and_opens_at_the_chosen_one(open_page: OpenPage, blob: Path) -> None:
    page = open_page()
    put(page, blob)
    names = page.locator("[name=tool]").evaluate_all("found => found.map(({ value }) => value)")
    choose(page, "Fill")
    page.keyboard.press("?")
    entry = page.locator("#help-tools li", has_text="Click a hole")
    expect(entry).to_be_in_viewport(ratio=0.9)
    expect(entry).to_be_focused()
    entries = page.locator("#help-tools li").all()
    tools = " ".join(entry.get_attribute("data-tools") or "" for entry in entries)
    assert sorted(tools.split()) == sorted(names)
    for entry in entries:
        entry.scroll_into_view_if_needed()
        image = entry.get_by_role("img")
        expect(image).to_have_js_property("complete", value=True)
        size = [int(image.get_attribute(side)) for side in ("width", "height")]
        assert image.evaluate("one => [one.naturalWidth, one.naturalHeight]") == size
        assert len(image.get_attribute("alt")) > 30
    page.keyboard.press("Escape")
    page.keyboard.press("v")
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Help")).to_be_in_viewport()
    page.locator("#help-box").get_by_role("button", name="Close").click()
    expect(page.locator("#help-box")).to_be_hidden()


def test_a_chosen_tool_says_what_it_does(open_page: OpenPage, blob: Path) -> None:
    """There are no tooltips on a touch screen."""
    page = open_page()
    put(page, blob)
    choose(page, "Box")
    expect(page.get_by_role("status").first).to_contain_text("Box: Drag a box around the lesion")


def test_the_page_asks_for_the_key_and_keeps_it(browser: Browser, start_live) -> None:
    live = start_live(keys=ApiKeys(["0123456789abcdef"]))
    context = browser.new_context()
    page = context.new_page()
    page.goto(live.url)
    dialog, send = page.locator("#key-box"), page.get_by_role("button", name="Use this key")
    expect(dialog).to_be_visible()
    expect(page.locator("#key-refused")).to_be_hidden()
    page.locator("#key").fill("0123456789abcdef\u200b")  # no header can have it
    send.click()
    expect(page.locator("#key:invalid")).to_be_visible()
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
