"""Make the images of the page: docs/images/page.jpg, and those of its help. Needs Chromium on the PATH.

The help's are made from the synthetic samples: each scene uses a tool on the real page, with the default
weights, and takes the image view before and after.
"""

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

ROOT = Path(__file__).parents[1]
SCREENSHOT = ROOT / "docs" / "images" / "page.jpg"
SAMPLES = ROOT / "src" / "mlffm_segdiff" / "samples"
HELP = ROOT / "src" / "mlffm_segdiff" / "serve" / "page"
SERVE = [sys.executable, "-m", "mlffm_segdiff", "serve", "--port", "0", "--json", "--quiet"]
PANEL = 320, 240
SMALL = ViewportSize(width=320, height=414)
"""A window whose image view is a panel large."""
LARGE = ViewportSize(width=1280, height=720)
GAP = 8
SEAM = 80
QUALITY = 72

Place = tuple[float, float]
Take = Callable[[], None]
Scene = Callable[[Page, Take], None]


def main() -> None:
    """Serve the page and save its images."""
    with browser() as (chromium, url), tempfile.TemporaryDirectory() as folder:
        screenshot(chromium, url)
        two = Path(folder) / "two_lesions.png"
        two_lesions().save(two)
        for name, (file, act) in SCENES.items():
            page = opened_small(chromium, url, file or two)
            save(name, before_and_after(page, act))
            page.close()
        save("list", [list_of(chromium, url)])


@contextmanager
def browser() -> Iterator[tuple[Browser, str]]:
    """Serve with the default weights, and start a browser; yields it and the server's address."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    server = subprocess.Popen(SERVE, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert server.stdout is not None
        url = next(line.split('"')[3] for line in server.stdout if '"url"' in line)
        with sync_playwright() as playwright:
            found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            yield found, url
            found.close()
    finally:
        server.terminate()
        server.wait()


def opened(chromium: Browser, url: str, size: ViewportSize, *images: Path) -> Page:
    """Open the page with some images, the first of which is shown."""
    page = chromium.new_page(viewport=size)
    page.goto(url)
    page.locator("#files").set_input_files(images)
    page.locator("body.open").wait_for()
    page.locator("#progress-box").wait_for(state="hidden")
    return page


def opened_small(chromium: Browser, url: str, image: Path) -> Page:
    """Open the page with one image, and nothing over it."""
    page = opened(chromium, url, SMALL, image)
    page.locator("#status").evaluate("status => status.hidden = true")
    page.locator("#canvas").evaluate("canvas => canvas.style.outline = 'none'")
    return page


def screenshot(chromium: Browser, url: str) -> None:
    """Save the whole page with the samples."""
    page = opened(chromium, url, LARGE, *sorted(SAMPLES.glob("*.png")))
    page.keyboard.press("a")
    page.get_by_text("sample_2.png: the lesion covers").wait_for()
    page.screenshot(path=SCREENSHOT, type="jpeg", quality=85)
    page.close()


def two_lesions() -> Image.Image:
    """Two samples as one image, so that it is not clear which lesion is meant."""
    found = Image.new("RGB", (512, 384))
    for number, left, place in ((6, 130, 0), (4, 128, 256)):
        with Image.open(SAMPLES / f"sample_{number}.png") as sample:
            scale = 384 / sample.height
            whole = sample.convert("RGB").resize((round(sample.width * scale), 384))
        part = whole.crop((left, 0, left + 256 + SEAM, 384))
        found.paste(part, (place - (SEAM if place else 0), 0), fade(part.size) if place else None)
    return found


def fade(size: tuple[int, int]) -> Image.Image:
    """Return how opaque an image is whose left edge fades out."""
    ramp = Image.linear_gradient("L").rotate(90).resize((SEAM, size[1]))
    opacity = Image.new("L", size, 255)
    opacity.paste(ramp, (0, 0))
    return opacity


def view(page: Page) -> Image.Image:
    """Return a screenshot of the image view."""
    page.locator("#measures:not(.stale)").wait_for(state="attached")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_timeout(300)
    with Image.open(io.BytesIO(page.locator("#frame").screenshot())) as taken:
        return taken.convert("RGB").resize(PANEL)


def before_and_after(page: Page, act: Scene) -> list[Image.Image]:
    """Return the last two of the views that a scene takes, of which the first is that before it."""
    panels = [view(page)]
    act(page, lambda: panels.append(view(page)))
    return panels[-2:]


def list_of(chromium: Browser, url: str) -> Image.Image:
    """Return a screenshot of the list after two decisions."""
    page = opened(chromium, url, LARGE, *sorted(SAMPLES.glob("*.png")))
    for key, name in (("a", "sample_2.png"), ("r", "sample_3.png")):
        page.keyboard.press(key)
        page.get_by_text(f"{name}: the lesion covers").wait_for()
    with Image.open(io.BytesIO(page.locator("#list").screenshot())) as taken:
        return taken.convert("RGB").crop((0, 0, taken.width, 244))


def save(name: str, panels: list[Image.Image]) -> None:
    """Save panels next to each other as an image of the help."""
    width = sum(panel.width for panel in panels) + GAP * (len(panels) - 1)
    whole = Image.new("RGB", (width, panels[0].height), "#888888")
    left = 0
    for panel in panels:
        whole.paste(panel, (left, 0))
        left += panel.width + GAP
    whole.save(HELP / f"help_{name}.jpg", quality=QUALITY, optimize=True)


def press(page: Page, places: list[Place], lift: bool = True) -> None:
    """Drag along places of the image view, in its pixels."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    points = [(box["x"] + x, box["y"] + y) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=8)
    if lift:
        page.mouse.up()


def use_threshold(page: Page, take: Take) -> None:
    """A lower threshold makes the mask larger."""
    page.get_by_label("Threshold").fill("0.02")
    take()


def use_box(page: Page, take: Take) -> None:
    """Drag a box around one of two lesions."""
    page.keyboard.press("o")
    press(page, [(5, 52), (128, 178)], lift=False)
    take()
    page.mouse.up()
    page.locator("#measures-state", has_text="of the corrected mask").wait_for(state="attached")
    take()


def use_points(page: Page, take: Take) -> None:
    """Click one of two lesions."""
    page.keyboard.press("t")
    press(page, [(187, 119)])
    take()


def use_brush(page: Page, take: Take) -> None:
    """Paint lesion and skin."""
    page.keyboard.press("b")
    for _ in range(9):
        page.keyboard.press("]")
    press(page, [(100, 78), (150, 60), (200, 66)])
    take()
    page.keyboard.press("e")
    press(page, [(112, 160), (150, 182), (196, 168)])
    take()


def use_polygon(page: Page, take: Take) -> None:
    """Click corners and close the polygon."""
    page.keyboard.press("p")
    for place in [(105, 115), (80, 70), (140, 40), (205, 60), (195, 100)]:
        press(page, [place])
    take()
    page.locator("#canvas").focus()
    page.keyboard.press("Enter")
    take()


def use_nodes(page: Page, take: Take) -> None:
    """Drag a node of the contour."""
    page.keyboard.press("n")
    press(page, [(155, 120)])
    take()
    page.locator("#canvas").focus()
    page.keyboard.press(".")
    for key in ["ArrowUp", "ArrowLeft"] * 8:
        page.keyboard.press(key)
    take()


def make_untidy(page: Page) -> None:
    """Paint a hole and a component."""
    page.keyboard.press("e")
    press(page, [(150, 112), (162, 116)])
    page.keyboard.press("b")
    press(page, [(60, 60), (72, 54)])


def use_fill(page: Page, take: Take) -> None:
    """Click a hole and a component."""
    make_untidy(page)
    take()
    page.keyboard.press("f")
    press(page, [(155, 113)])
    press(page, [(64, 58)])
    page.mouse.move(0, 0)
    take()


def clean(page: Page, take: Take) -> None:
    """Use the three buttons that clean the whole mask."""
    make_untidy(page)
    page.keyboard.press("b")
    page.get_by_label("Brush size").fill("2")
    press(page, [(102, 100), (88, 92)])
    press(page, [(204, 100), (222, 94)])
    press(page, [(150, 68), (146, 50)])
    page.mouse.move(0, 0)
    take()
    for name in ("Fill holes", "Keep largest", "Smooth"):
        page.get_by_role("button", name=name).click()
    take()


def use_view(page: Page, take: Take) -> None:
    """Zoom about the pointer."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 195, box["y"] + 95)
    for _ in range(3):
        page.mouse.wheel(0, -300)
    take()


def compare(page: Page, take: Take) -> None:
    """Show the image without its mask on the left, then the probability."""
    page.get_by_role("switch", name="Compare with the image").check()
    take()
    page.get_by_role("switch", name="Compare with the image").uncheck()
    page.get_by_role("switch", name="Probability").check()
    take()


SCENES: dict[str, tuple[Path | None, Scene]] = {
    "threshold": (SAMPLES / "sample_1.png", use_threshold),
    "box": (None, use_box),
    "points": (None, use_points),
    "brush": (SAMPLES / "sample_6.png", use_brush),
    "polygon": (SAMPLES / "sample_6.png", use_polygon),
    "nodes": (SAMPLES / "sample_6.png", use_nodes),
    "fill": (SAMPLES / "sample_6.png", use_fill),
    "clean": (SAMPLES / "sample_6.png", clean),
    "view": (SAMPLES / "sample_5.png", use_view),
    "compare": (SAMPLES / "sample_7.png", compare),
}
"""Name of each image of the help, the image that it shows (None: two lesions), and what is done with it."""


if __name__ == "__main__":
    main()
