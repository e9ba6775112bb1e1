"""Box and points on the page: the masks are those of the REST API, with one undo over all."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import expect
from scipy import ndimage
from serve.page.user import (
    BOTH,
    OpenPage,
    Read,
    Saved,
    api_mask,
    choose,
    click,
    copied,
    drag,
    put,
    shares,
    spot,
    zipped,
)

from mlffm_segdiff.inference.prompt import Prompt, PromptedImage
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.segmenters.network_output import NetworkOutput

SIZE = 64, 48


@pytest.fixture
def clouds(tmp_path: Path) -> Path:
    """Two red clouds with soft borders, and a third that is too weak for the threshold."""
    y, x = np.mgrid[:48, :64]

    def cloud(cx: float, cy: float, radius: float, peak: float) -> npt.NDArray[np.float64]:
        return peak * np.exp(-((np.hypot(x - cx, y - cy) / radius) ** 2))

    red = cloud(18, 22, 14, 1.0) + cloud(48, 14, 8, 0.9) + cloud(50, 38, 7, 0.45)
    image = np.zeros((48, 64, 3), np.uint8)
    image[..., 0] = np.rint(255 * np.clip(red, 0, 1))
    path = tmp_path / "clouds.png"
    Image.fromarray(image).save(path)
    return path


@BOTH
def test_a_dragged_box_gives_the_mask_of_the_api(
    live, open_page: OpenPage, clouds: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    put(page, clouds)
    before = pixels(saved(page, "Mask (PNG)"))
    choose(page, "Box")
    drag(page, SIZE, [(36, 4), (62, 25)])
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    boxed = pixels(saved(page, "Mask (PNG)"))
    command = copied(page, "curl")
    assert "-F box=36,4,62,25 " in command
    np.testing.assert_array_equal(boxed, api_mask(live.url, clouds, box="36,4,62,25"))
    assert (boxed != before).any()
    assert not boxed[:, :36].any()

    page.get_by_label("Threshold").fill("0.7")
    np.testing.assert_array_equal(
        pixels(saved(page, "Mask (PNG)")), api_mask(live.url, clouds, box="36,4,62,25", threshold=0.7)
    )
    for _ in range(2):
        page.keyboard.press("Control+z")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), before)
    page.keyboard.press("Control+Shift+z")
    expect(page.locator("#measures")).not_to_have_class("stale")
    page.reload()
    expect(page.locator("#of-mask")).to_be_visible()
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), boxed)
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), before)


@BOTH
def test_points_give_the_mask_of_the_api(
    live, open_page: OpenPage, clouds: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    put(page, clouds)
    before = pixels(saved(page, "Mask (PNG)"))
    choose(page, "Points")
    wanted = ""
    for place, alt, switch in [((50, 38), False, False), ((48, 14), True, False), ((18, 22), False, True)]:
        page.get_by_role("switch", name="Remove").set_checked(switch)
        if alt:
            page.keyboard.down("Alt")
        click(page, SIZE, place)
        if alt:
            page.keyboard.up("Alt")
        found = pixels(saved(page, "Mask (PNG)"))
        command = copied(page, "Python")
        points = json.loads(command.split('"points": ')[1].splitlines()[0].rstrip(","))
        assert points.startswith(wanted)
        assert points.endswith(",0" if alt or switch else ",1")
        wanted = points
        np.testing.assert_array_equal(found, api_mask(live.url, clouds, points=points))
    assert before[14, 48]
    assert not found[14, 48]
    page.get_by_label("Threshold").fill("0.3")
    np.testing.assert_array_equal(
        pixels(saved(page, "Mask (PNG)")), api_mask(live.url, clouds, points=points, threshold=0.3)
    )
    click(page, SIZE, (18, 22))  # the last point, which is removed
    expect(page.get_by_role("status").first).to_have_text("Point removed")
    page.locator("#canvas").focus()
    page.keyboard.press("Backspace")
    assert copied(page, "Python").count(",1;") == 0
    for _ in range(6):
        page.keyboard.press("Control+z")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), before)


def test_box_and_points_by_keyboard(
    live, open_page: OpenPage, clouds: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    put(page, clouds)
    before = pixels(saved(page, "Mask (PNG)"))
    page.locator("#canvas").focus()
    page.keyboard.press("o")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("opposite corner")
    for key, times in (("ArrowRight", 25), ("ArrowUp", 20)):
        for _ in range(times):
            page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    expected = api_mask(live.url, clouds, box="32,4,57,24")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), expected)
    page.locator("#canvas").focus()
    page.keyboard.press("t")
    page.keyboard.press("x")
    page.keyboard.press("Space")
    expected = api_mask(live.url, clouds, box="32,4,57,24", points="32,24,0")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), expected)
    page.locator("#canvas").focus()
    page.keyboard.press("Backspace")
    page.keyboard.press("o")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("Backspace")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), before)


def test_box_and_points_by_touch(live, open_page: OpenPage, clouds: Path, saved: Saved, pixels: Read) -> None:
    page = open_page(viewport={"width": 400, "height": 800}, has_touch=True)
    put(page, clouds)

    def tap(place: tuple[float, float]) -> None:
        page.locator("#frame").evaluate("frame => frame.scrollIntoView()")
        page.touchscreen.tap(*spot(page, shares(page, SIZE, place)))

    choose(page, "Box")
    tap((36, 4))
    tap((62, 25))
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    choose(page, "Points")
    tap((50, 38))
    fields = dict(field.split("=") for field in copied(page, "curl").replace("'", "").split() if "=" in field)
    found = pixels(saved(page, "Mask (PNG)"))
    expected = api_mask(live.url, clouds, box=fields["box"], points=fields["points"])
    np.testing.assert_array_equal(found, expected)
    assert np.array(fields["box"].split(","), int) == pytest.approx([36, 4, 62, 25], abs=1)


def test_what_was_drawn_stays_on_top(
    live, open_page: OpenPage, clouds: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    put(page, clouds)
    before = pixels(saved(page, "Mask (PNG)"))
    choose(page, "Brush")
    drag(page, SIZE, [(4, 45), (25, 45)])
    painted = pixels(saved(page, "Mask (PNG)")) > before
    choose(page, "Box")
    drag(page, SIZE, [(36, 4), (62, 25)])
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    boxed = api_mask(live.url, clouds, box="36,4,62,25")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")) > 0, (boxed > 0) | painted)
    choose(page, "Points")
    click(page, SIZE, (50.5, 38.5))
    pointed = pixels(saved(page, "Mask (PNG)")) > 0
    assert (pointed & painted).sum() == painted.sum()
    assert pointed[38, 50]


def test_the_newest_box_wins_and_undo_cancels(
    live, red, open_page: OpenPage, clouds: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    put(page, clouds)
    before = pixels(saved(page, "Mask (PNG)"))
    choose(page, "Box")
    red.gate.clear()
    drag(page, SIZE, [(4, 4), (30, 40)])
    drag(page, SIZE, [(36, 4), (62, 25)])
    expect(page.get_by_role("status").first).to_contain_text("within the box")
    red.gate.set()
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    expected = api_mask(live.url, clouds, box="36,4,62,25")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), expected)
    page.keyboard.press("Control+z")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()

    red.gate.clear()
    drag(page, SIZE, [(4, 4), (30, 40)])
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").first).to_have_text("Box cancelled")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    red.gate.set()
    api_mask(live.url, clouds)  # answered after what was cancelled
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), before)


def test_a_box_arrives_while_another_image_is_open(
    live, red, open_page: OpenPage, clouds: Path, blob: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    put(page, clouds, blob)
    expect(page.locator("#progress-box")).to_be_hidden()
    choose(page, "Box")
    red.gate.clear()
    drag(page, SIZE, [(36, 4), (62, 25)])
    page.keyboard.press("j")
    expect(page.locator("#case-name")).to_have_text("blob.png")
    red.gate.set()
    expect(page.locator("#list .status").first).to_have_text("corrected")
    page.keyboard.press("k")
    expect(page.locator("#case-name")).to_have_text("clouds.png")
    expect(page.locator("#of-mask")).to_be_visible()
    expected = api_mask(live.url, clouds, box="36,4,62,25")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), expected)


def test_a_corner_is_forgotten_when_another_image_is_shown(
    open_page: OpenPage, clouds: Path, blob: Path
) -> None:
    page = open_page()
    put(page, clouds, blob)
    expect(page.locator("#progress-box")).to_be_hidden()
    choose(page, "Box")
    click(page, SIZE, (4, 4))
    expect(page.get_by_role("status").first).to_contain_text("opposite corner")
    page.keyboard.press("j")
    expect(page.locator("#case-name")).to_have_text("blob.png")
    expect(page.locator("#of-mask")).to_be_visible()
    drag(page, SIZE, [(20, 10), (50, 40)])
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    assert "-F box=20,10,50,40 " in copied(page, "curl")


def test_a_server_that_stops_leaves_the_mask(
    live, open_page: OpenPage, clouds: Path, saved: Saved, pixels: Read
) -> None:
    page = open_page()
    put(page, clouds)
    before = pixels(saved(page, "Mask (PNG)"))
    live.stop()
    choose(page, "Box")
    drag(page, SIZE, [(36, 4), (62, 25)])
    status = page.get_by_role("status").first
    expect(status).to_contain_text("The server does not answer: the mask is unchanged")
    np.testing.assert_array_equal(pixels(saved(page, "Mask (PNG)")), before)
    choose(page, "Points")
    click(page, SIZE, (18, 22))
    found = pixels(saved(page, "Mask (PNG)"))
    assert found[22, 18]
    assert not found[14, 48]  # points need no server


def test_box_and_points_are_in_the_files(open_page: OpenPage, clouds: Path, blob: Path, saved: Saved) -> None:
    page = open_page()
    put(page, clouds, blob)
    expect(page.locator("#progress-box")).to_be_hidden()
    choose(page, "Box")
    drag(page, SIZE, [(36, 4), (62, 25)])
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    choose(page, "Points")
    click(page, SIZE, (50, 16))
    archive = zipped(page, saved, "coco", "table")
    first, second = archive.read("predictions.csv").decode().splitlines()[1:]
    assert '"36,4,62,25","' in first
    assert ",0.5,,,false," in second
    prompted, other = json.loads(archive.read("coco.json"))["images"]
    assert prompted["box"] == "36,4,62,25"
    assert prompted["points"].endswith(",1")
    assert "box" not in other


def test_the_threshold_is_previewed_within_the_box(open_page: OpenPage, clouds: Path) -> None:
    page = open_page()
    put(page, clouds)
    choose(page, "Box")
    drag(page, SIZE, [(36, 4), (62, 25)])
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    choose(page, "View")
    drawn = """async () => {
        const slider = document.querySelector("#threshold");
        slider.value = "0.4";
        slider.dispatchEvent(new Event("input"));
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const { width, height } = document.querySelector("#canvas");
        const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(document.querySelector("#canvas"), 0, 0);
        const drawn = (left) => copy.getImageData(left, 0, width / 2, height).data.some((value) => value > 0);
        return [drawn(0), drawn(width / 2)];
    }"""
    assert page.evaluate(drawn) == [False, True]


def test_a_sample_is_not_drawn_with_a_box(open_page: OpenPage, clouds: Path) -> None:
    """Uncertainty is then that of the label, by the probability within the box."""
    page = open_page()
    put(page, clouds)
    page.get_by_role("switch", name="Uncertainty").check()
    choose(page, "Box")
    drag(page, SIZE, [(36, 4), (62, 25)])
    expect(page.locator("#measures-state")).to_have_text("of the corrected mask")
    expect(page.locator("#uncertainty-top")).to_have_text("0.50")


@pytest.mark.parametrize("box", [None, [10, 5, 60, 30]])
@pytest.mark.parametrize("points", [[], [[20, 20, 1], [50, 10, 0]]])
def test_the_sketch_of_a_threshold_is_of_the_prompted_mask(
    open_page: OpenPage, box: list[int] | None, points: list[list[int]]
) -> None:
    """At this size the sketch is as fine as the mask."""
    whole, inside = (np.random.default_rng(seed).random((16, 16)).ravel().tolist() for seed in (0, 1))
    script = """async ([box, points, whole, inside]) => {
        const { maskOf, Result } = await import("./result.js");
        const map = (values) => ({ size: 16, probability: Float32Array.from(values) });
        const post = { fill_holes: false, largest: false, keep_specks: true };
        const boxes = box ? { [box]: map(inside) } : {};
        const answer = { width: 75, height: 41, post, boxes, ...map(whole) };
        const edit = { threshold: 0.5, box, points, steps: [] };
        const result = new Result({ edit }, answer, null);
        return [0.3, 0.45, 0.6].map((threshold) => {
            const exact = maskOf(answer, { ...edit, threshold });
            return [[...result.sketch(threshold).data], [...exact.data]];
        });
    }"""
    for sketch, exact in open_page().evaluate(script, [box, points, whole, inside]):
        assert 0 < sum(exact) < len(exact)
        assert sketch == exact


@pytest.mark.parametrize("threshold", [0.5, 0.35])
@pytest.mark.parametrize("box", [None, (10.0, 5.0, 60.0, 30.0)])
def test_points_change_maps_as_the_package_does(
    open_page: OpenPage, box: tuple[float, ...] | None, threshold: float
) -> None:
    """Smooth random maps with up to six points each, on an image of another shape."""
    width, height, size = 75, 41, 32
    random = np.random.default_rng(0)
    image = CaseImage(height, width, np.zeros((size, size, 3), np.uint8), None, "a.png")
    cases, expected = [], []
    for count in range(12):
        noise = ndimage.gaussian_filter(random.random((size, size)), 2)
        values = ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)
        points = [
            (*(random.random(2) * (width - 1, height - 1)).round(2).tolist(), int(label))
            for label in random.integers(0, 2, 1 + count // 2)
        ]
        cases.append([values.ravel().tolist(), points])
        whole = NetworkOutput(values, np.zeros_like(values))
        prompted = PromptedImage(image, Prompt(box, points))
        expected.append(prompted._with_points(whole.probability, threshold))
    script = """async ([cases, box, threshold, size, width, height]) => {
        const { withPoints } = await import("./prompt.js");
        return cases.map(([values, points]) => {
            const map = { size, probability: Float32Array.from(values) };
            return [...withPoints(map, { box, points, threshold }, width, height).probability];
        });
    }"""
    found = open_page().evaluate(script, [cases, box, threshold, size, width, height])
    for values, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.reshape(values, (size, size)).astype(np.float32), wanted)
