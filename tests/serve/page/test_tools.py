"""Lasso, polygon, nodes, fill and cleaning, with one undo over all."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.path import Path as MplPath
from PIL import Image
from playwright.sync_api import Page, expect
from scipy import ndimage
from serve.page.user import BOTH, OpenPage, Read, Saved, choose, click, drag, put, shares, spot

SIZE = 64, 48
CORNERS = [(8.0, 6.0), (28.0, 6.0), (28.0, 22.0), (8.0, 22.0)]


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """A square with a hole, and a smaller one."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[10:34, 10:40, 0] = 255
    image[18:24, 18:24, 0] = 0
    image[36:44, 50:60, 0] = 255
    path = tmp_path / "squares.png"
    Image.fromarray(image).save(path)
    return path


def polygon_pixels(corners: list[tuple[float, float]]) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[:48, :64] + 0.5
    return MplPath(corners).contains_points(np.stack([x.ravel(), y.ravel()], 1)).reshape(48, 64)


def differing(found: npt.NDArray[np.uint8], expected: npt.NDArray[np.bool_]) -> int:
    return int(((found > 0) != expected).sum())


@BOTH
@pytest.mark.parametrize("tool", ["Lasso", "Polygon"])
def test_a_region_is_added_removed_and_undone(
    open_page: OpenPage, dark: Path, saved: Saved, pixels: Read, tool: str
) -> None:
    page = open_page()
    put(page, dark)
    choose(page, tool)

    def enclose(corners: list[tuple[float, float]]) -> None:
        if tool == "Lasso":
            return drag(page, SIZE, [*corners, corners[0]])
        for corner in corners:
            click(page, SIZE, corner)
        return page.keyboard.press("Enter")

    enclose(CORNERS)
    added = pixels(saved(page, "Mask (PNG)"))
    assert differing(added, polygon_pixels(CORNERS)) <= 4
    page.get_by_role("switch", name="Remove").check()
    inner = [(x / 2 + 9, y / 2 + 7) for x, y in CORNERS]
    enclose(inner)
    hollow = pixels(saved(page, "Mask (PNG)"))
    assert differing(hollow, polygon_pixels(CORNERS) & ~polygon_pixels(inner)) <= 8
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), added)
    page.keyboard.press("Control+z")
    assert not pixels(saved(page, "Mask (PNG)")).any()


def test_a_polygon_by_keyboard(open_page: OpenPage, dark: Path, saved: Saved, pixels: Read) -> None:
    page = open_page()
    put(page, dark)
    page.locator("#canvas").focus()
    page.keyboard.press("p")
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight"):
        page.keyboard.press("Space")
        for _ in range(10):
            page.keyboard.press(key)
    page.keyboard.press("Space")
    page.keyboard.press("Backspace")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expected = polygon_pixels([(32, 24), (22, 24), (22, 14), (32, 14)])
    assert differing(pixels(saved(page, "Mask (PNG)")), expected) <= 20
    page.locator("#canvas").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    assert differing(pixels(saved(page, "Mask (PNG)")), expected) <= 20


def test_a_node_is_dragged(open_page: OpenPage, squares: Path, saved: Saved, pixels: Read) -> None:
    page = open_page()
    put(page, squares)
    before = pixels(saved(page, "Mask (PNG)")) > 0
    row = int(np.flatnonzero(before.any(1))[0])
    node = float(np.flatnonzero(before[row])[0]), float(row)  # the first pixel's corner
    choose(page, "Nodes")
    click(page, SIZE, (13, 28))
    expect(page.get_by_role("status").first).to_contain_text("nodes")
    drag(page, SIZE, [node, (node[0] - 5, node[1] - 6)])
    after = pixels(saved(page, "Mask (PNG)")) > 0
    assert (after & ~before).sum() > 20
    assert not (before & ~after)[20:].any()
    np.testing.assert_array_equal(after[25:], before[25:])
    page.locator("#canvas").focus()
    page.keyboard.press(".")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")) > 0, before)


def test_holes_and_components(open_page: OpenPage, squares: Path, saved: Saved, pixels: Read) -> None:
    page = open_page()
    put(page, squares)

    def mask() -> npt.NDArray[np.bool_]:
        return pixels(saved(page, "Mask (PNG)")) > 0

    first = mask()
    assert ndimage.label(first)[1] == 2
    filled = ndimage.binary_fill_holes(first)
    assert (filled & ~first).any()
    choose(page, "Fill")
    click(page, SIZE, (21, 21))
    np.testing.assert_array_equal(mask(), filled)
    click(page, SIZE, (55, 40))
    largest = filled & (np.arange(64) < 45)
    np.testing.assert_array_equal(mask(), largest)
    click(page, SIZE, (2, 2))
    expect(page.get_by_role("status").first).to_contain_text("There is no hole here")
    np.testing.assert_array_equal(mask(), largest)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(mask(), first)
    page.get_by_role("button", name="Keep largest").click()
    page.get_by_role("button", name="Fill holes").click()
    np.testing.assert_array_equal(mask(), largest)
    page.get_by_role("button", name="Smooth").click()
    smoothed = mask()
    assert 0 < (smoothed != largest).sum() < 60
    for _ in range(3):
        page.get_by_role("button", name="Undo").click()
    np.testing.assert_array_equal(mask(), first)


def test_a_stroke_is_whole_although_the_mask_is_measured_meanwhile(
    open_page: OpenPage, dark: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    put(page, dark)
    choose(page, "Brush")
    drag(page, SIZE, [(10, 8), (54, 8)])
    first, middle, last = (spot(page, shares(page, SIZE, (x, 30))) for x in (10, 30, 54))
    page.mouse.move(*first)
    page.mouse.down()
    page.mouse.move(*middle, steps=5)
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    page.mouse.move(*last, steps=5)
    page.mouse.up()
    drawn = pixels(saved(page, "Mask (PNG)"))
    assert drawn[30, 10:54].all()
    choose(page, "Eraser")
    click(page, SIZE, (54, 8))
    shown = """() => {
        const canvas = document.querySelector("#canvas");
        return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]
            .filter((_, place) => place % 4 === 3).reduce((sum, alpha) => sum + alpha, 0);
    }"""
    page.mouse.move(0, 0)
    page.keyboard.press("0")
    page.wait_for_timeout(200)
    before = page.evaluate(shown)
    page.reload()
    expect(page.locator("#of-mask")).to_be_visible()
    page.wait_for_timeout(200)
    assert page.evaluate(shown) == pytest.approx(before, rel=0.001)


def test_the_mask_before_its_correction_can_be_shown(open_page: OpenPage, squares: Path) -> None:
    page: Page = open_page()
    put(page, squares)
    switch = page.get_by_role("switch", name="Before correction")
    expect(switch).to_be_hidden()
    page.get_by_role("button", name="Keep largest").click()
    switch.check()
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
