"""Zoom, pan and layout of the page."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import CDPSession, Page, expect
from serve.page.user import BOTH, OpenPage, Read, Saved, api_mask, choose, click, put, shares, spot

SIZE = 64, 48


def zoom(page: Page) -> int:
    return int(page.locator("#zoom").inner_text().removesuffix(" %"))


def painted(saved: Path, read: Read) -> tuple[float, float]:
    """The middle of what was painted on a black image, x and y in pixels."""
    y, x = np.nonzero(read(saved))
    return x.mean() + 0.5, y.mean() + 0.5


@BOTH
def test_the_wheel_zooms_about_the_pointer(
    open_page: OpenPage, dark: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    put(page, dark)
    fitted = zoom(page)
    at = spot(page, shares(page, SIZE, (20.5, 30.5)))
    page.mouse.move(*at)
    for _ in range(4):
        page.mouse.wheel(0, -300)
    expect(page.locator("#minimap")).to_be_visible()
    assert zoom(page) > 3 * fitted
    page.keyboard.press("b")
    page.mouse.click(*at)
    assert painted(saved(page, "Mask (PNG)"), pixels) == pytest.approx((20.5, 30.5), abs=0.3)
    page.keyboard.press("0")
    expect(page.locator("#zoom")).to_have_text(f"{fitted} %")
    expect(page.locator("#minimap")).to_be_hidden()
    page.keyboard.press("1")
    expect(page.locator("#zoom")).to_have_text("100 %")


@pytest.mark.parametrize("way", ["drag", "space", "middle button"])
def test_the_view_is_panned(open_page: OpenPage, dark: Path, saved: Saved, pixels: Read, way: str) -> None:
    page = open_page()
    put(page, dark)
    at = spot(page, shares(page, SIZE, (20.5, 30.5)))
    page.mouse.move(*at)
    page.mouse.wheel(0, -600)
    if way != "drag":
        page.keyboard.press("b")
        page.locator("#canvas").focus()
    if way == "space":
        page.keyboard.down("Space")
    page.mouse.down(button="middle" if way == "middle button" else "left")
    page.mouse.move(at[0] + 60, at[1] - 40, steps=4)
    page.mouse.up(button="middle" if way == "middle button" else "left")
    if way == "space":
        page.keyboard.up("Space")
    page.keyboard.press("b")
    page.mouse.click(at[0] + 60, at[1] - 40)
    assert painted(saved(page, "Mask (PNG)"), pixels) == pytest.approx((20.5, 30.5), abs=0.3)


def test_two_fingers_zoom_and_do_not_paint(
    open_page: OpenPage, dark: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page(viewport={"width": 400, "height": 800}, has_touch=True)
    put(page, dark)
    choose(page, "Brush")
    before = zoom(page)
    page.locator("#frame").evaluate("frame => frame.scrollIntoView()")
    x, y = spot(page, (0.5, 0.5))
    touch(page.context.new_cdp_session(page), [(x - 20, x + 20), (x - 40, x + 40), (x - 60, x + 60)], y)
    assert zoom(page) == pytest.approx(3 * before, rel=0.05)
    assert not pixels(saved(page, "Mask (PNG)")).any()


def touch(session: CDPSession, steps: list[tuple[float, float]], y: float) -> None:
    """Move two fingers on a horizontal line; the first is down a moment earlier."""

    def send(kind: str, places: tuple[float, ...]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, x in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", steps[0][:1])
    send("touchStart", steps[0])
    for step in steps[1:]:
        send("touchMove", step)
    send("touchEnd", ())


def test_buttons_and_keys_zoom(open_page: OpenPage, blob: Path) -> None:
    page = open_page()
    put(page, blob)
    fitted = zoom(page)
    page.get_by_role("button", name="Zoom in").click()
    assert zoom(page) == pytest.approx(1.5 * fitted, rel=0.01)
    page.keyboard.press("-")
    page.keyboard.press("-")
    assert zoom(page) == pytest.approx(fitted / 1.5, rel=0.01)
    page.get_by_role("button", name="Fit").click()
    assert zoom(page) == fitted
    page.get_by_role("button", name="1:1").click()
    assert zoom(page) == 100


def test_the_image_fills_the_height_and_intake_is_one_button(open_page: OpenPage, blob: Path) -> None:
    page = open_page(viewport={"width": 1280, "height": 720})
    expect(page.locator("#add")).to_be_hidden()
    put(page, blob)
    expect(page.locator("#drop")).to_be_hidden()
    expect(page.locator("#add")).to_be_visible()
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    assert box["y"] < 60
    assert box["height"] > 0.75 * 720
    assert page.evaluate("document.documentElement.scrollHeight") == 720


def test_large_images_are_shown_at_full_size_when_zoomed_in(open_page: OpenPage, tmp_path: Path) -> None:
    """A pattern finer than the preview is grey from afar, and black and white from near."""
    stripes = np.zeros((1700, 3400, 3), np.uint8)
    stripes[:, ::2] = 255
    path = tmp_path / "stripes.png"
    Image.fromarray(stripes).save(path)
    page = open_page()
    put(page, path)
    page.get_by_role("button", name="1:1").click()
    choose(page, "View")
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    contrast = """() => {
        const canvas = document.querySelector("#image");
        const copy = new OffscreenCanvas(canvas.width, 1).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, -Math.floor(canvas.height / 2));
        const reds = copy.getImageData(0, 0, canvas.width, 1).data.filter((_, place) => place % 4 === 0);
        return Math.max(...reds) - Math.min(...reds);
    }"""
    for _ in range(50):
        if page.evaluate(contrast) > 200:
            break
        page.wait_for_timeout(100)
    assert page.evaluate(contrast) > 200


def test_at_most_eight_tab_stops_to_the_image_and_an_accepted_mask(open_page: OpenPage, blob: Path) -> None:
    page = open_page()
    stops = 0
    while page.evaluate("document.activeElement.id") != "files":
        page.keyboard.press("Tab")
        stops += 1
    page.locator("#files").set_input_files(blob)  # the dialog is the browser's
    expect(page.locator("#of-mask")).to_be_visible()
    while page.evaluate("document.activeElement.id") != "canvas":
        page.keyboard.press("Tab")
        stops += 1
    assert stops <= 8
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Accept", exact=True)).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.locator("#of-mask")).to_be_visible()
    stops = 0
    while page.evaluate("document.activeElement.id") != "canvas":
        page.keyboard.press("Tab")
        stops += 1
    assert stops <= 8


def test_single_keys_can_be_switched_off(open_page: OpenPage, blob: Path) -> None:
    page = open_page()
    put(page, blob)
    page.keyboard.press("?")
    page.get_by_role("switch", name="Single keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    expect(page.get_by_role("radio", name="View")).to_be_checked()
    click(page, SIZE, (10, 10))


def test_a_moving_threshold_is_drawn_coarsely_and_is_exact_at_the_end(
    live, open_page: OpenPage, blob: Path, tmp_path: Path, saved: Saved, pixels: Read
) -> None:
    path = tmp_path / "large.png"
    with Image.open(blob) as image:
        image.resize((1000, 750)).save(path)
    page = open_page()
    put(page, path)
    page.get_by_role("button", name="Smooth").click()
    slider = page.get_by_label("Threshold")
    box = slider.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    drawn = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
        done(document.querySelector("#canvas").toDataURL()))))"""
    seen = [page.evaluate(drawn)]
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    for share in (0.6, 0.7, 0.8):
        page.mouse.move(box["x"] + share * box["width"], y)
        seen.append(page.evaluate(drawn))
    assert len(set(seen)) == 4
    shown = page.locator("#threshold-value").inner_text()
    assert float(shown) > 0.7
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    page.mouse.up()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#threshold-value")).to_have_text("0.50")
    page.get_by_role("button", name="Undo").click()
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), api_mask(live.url, path))
    page.get_by_role("button", name="Redo").click()
    page.get_by_role("button", name="Undo").click()
    slider.fill(shown)
    exact = api_mask(live.url, path, threshold=float(shown))
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), exact)
    assert page.evaluate(drawn) != seen[0]
