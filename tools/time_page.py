"""Time the page of `mlffm-segdiff serve` in Chromium, on synthetic images. Needs Chromium on the PATH.

python tools/time_page.py [work] [frames] [many]

work: 40 images from adding them to the ZIP file, with 5 corrections; frames: the time between frames while
zooming, painting and moving the threshold on an image of 12 megapixels; many: 500 images, with the memory of
page and server before, after 250 and at the end. By default all three.
"""

import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from mlffm_segdiff.data.synthetic import synthetic_case

SERVE = [sys.executable, "-m", "mlffm_segdiff", "serve", "--port", "0", "--json", "--quiet"]
DISTINCT = 20
PATIENCE_MS = 1_800_000
RECORD = """() => {
    window.frames_ms = [];
    let last = performance.now();
    const next = (now) => {
        window.frames_ms.push(now - last);
        last = now;
        window.recording = requestAnimationFrame(next);
    };
    window.recording = requestAnimationFrame(next);
}"""
STOP = "() => { cancelAnimationFrame(window.recording); return window.frames_ms.slice(2); }"


def images(folder: Path, count: int) -> list[Path]:
    """Write synthetic images of 640 x 480 pixels; they repeat after `DISTINCT`."""
    paths = [folder / f"image_{number + 1:03}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if number < DISTINCT:
            Image.fromarray(synthetic_case(number, 640, 480)[0]).save(path, quality=95)
        else:
            shutil.copy(paths[number % DISTINCT], path)
    return paths


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """Start a server; its address and process id."""
    process = subprocess.Popen(SERVE, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert process.stdout is not None
        yield next(line.split('"')[3] for line in process.stdout if '"url"' in line), process.pid
    finally:
        process.terminate()
        process.wait()


def opened(browser: Browser, url: str) -> Page:
    """Open the page."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.locator("#samples img").first.wait_for()
    return page


def centre(page: Page) -> tuple[float, float]:
    """The middle of the image on the screen."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def stroke(page: Page, steps: int) -> None:
    """Paint from the middle of the image to the right."""
    x, y = centre(page)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(steps):
        page.mouse.move(x + 150 * step / steps, y + 40 * (step % 20) / 20)
    page.mouse.up()


def time_work(browser: Browser, folder: Path) -> None:
    """40 images, 5 corrections, one ZIP file."""
    paths = images(folder, 40)
    with server() as (url, process):
        page = opened(browser, url)
        start, busy = time.monotonic(), cpu_seconds(process)
        page.locator("#files").set_input_files(paths)
        page.locator("body.open").wait_for()
        first = time.monotonic() - start
        page.locator("#progress-box").wait_for(state="hidden")
        segmented, busy = time.monotonic() - start, cpu_seconds(process) - busy
        page.keyboard.press("b")
        for number in range(5):
            stroke(page, 10)
            page.keyboard.press("a")
            page.locator("#case-name", has_text=paths[number + 1].name).wait_for()
            page.locator("body.open").wait_for()
        page.locator("#open-export").click()
        for part in page.locator("[name=part]:not([value=dicom])").all():
            part.check()
        with page.expect_download() as waiting:
            page.locator("#export-zip").click()
        size = waiting.value.path().stat().st_size
        total = time.monotonic() - start
    print(f"40 images: first mask {first:.1f} s, last {segmented:.1f} s; server's CPU time {busy:.1f} s")
    print(f"with 5 corrections and a ZIP file of {size / 1e6:.1f} MB: {total:.1f} s")


def time_frames(browser: Browser, folder: Path) -> None:
    """Zoom and paint on 12 megapixels."""
    path = folder / "large.jpg"
    Image.fromarray(synthetic_case(3, 1000, 750)[0]).resize((4000, 3000)).save(path, quality=90)
    with server() as (url, _):
        page = opened(browser, url)
        page.locator("#files").set_input_files(path)
        page.locator("body.open").wait_for()
        page.mouse.move(*centre(page))
        report("at rest", frames(page, lambda: page.wait_for_timeout(1500)))
        report("zooming", frames(page, lambda: zoom_in_and_out(page)))
        page.keyboard.press("b")
        report("painting, whole image", frames(page, lambda: stroke(page, 120)))
        page.keyboard.press("1")
        report("painting, 1:1", frames(page, lambda: stroke(page, 120)))
        page.keyboard.press("0")
        page.locator("#measures:not(.stale)").wait_for()
        report("moving the threshold", frames(page, lambda: slide(page, 120)))


def zoom_in_and_out(page: Page) -> None:
    for way in (-1, 1):
        for _ in range(60):
            page.mouse.wheel(0, 40 * way)


def slide(page: Page, steps: int) -> None:
    """Drag the slider of the threshold to and fro."""
    box = page.locator("#threshold").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    for step in range(steps):
        share = 0.5 + 0.3 * math.sin(step / 10)
        page.mouse.move(box["x"] + share * box["width"], y)
    page.mouse.up()


def frames(page: Page, act: Callable[[], None]) -> list[float]:
    """Milliseconds between the frames of an action."""
    page.evaluate(RECORD)
    act()
    found: list[float] = page.evaluate(STOP)
    return found


def report(name: str, found: list[float]) -> None:
    ordered = sorted(found)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    median = statistics.median(found)
    print(f"12 megapixels, {name}: median {median:.0f} ms, p95 {p95:.0f} ms, {len(found)} frames")


def time_many(browser: Browser, folder: Path) -> None:
    """500 images, with memory."""
    paths = images(folder, 500)
    with server() as (url, process):
        page = opened(browser, url)
        session = page.context.new_cdp_session(page)
        before = heap(session), resident(process)
        start, busy = time.monotonic(), cpu_seconds(process)
        page.locator("#files").set_input_files(paths)
        page.locator("body.open").wait_for()
        first = time.monotonic() - start
        page.locator("#progress-text", has_text=re.compile(r"^2[5-9]\d of")).wait_for()
        half = heap(session), resident(process)
        page.locator("#progress-box").wait_for(state="hidden")
        last, busy = time.monotonic() - start, cpu_seconds(process) - busy
        print(f"500 images: first mask {first:.1f} s, last {last:.0f} s; server's CPU time {busy:.0f} s")
        after = heap(session), resident(process)
        for what, *sizes in zip(("page's heap", "server"), before, half, after, strict=True):
            print(f"memory of the {what}: " + ", ".join(f"{size:.0f}" for size in sizes) + " MB")
        start = time.monotonic()
        for number in range(10):
            page.keyboard.press("j")
            page.locator("#case-name", has_text=paths[number + 1].name).wait_for()
            page.locator("body.open").wait_for()
        print(f"next image by key: {100 * (time.monotonic() - start):.0f} ms")


def heap(session: CDPSession) -> float:
    """Megabytes of the page's JavaScript after garbage collection."""
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")
    return (used["usedSize"] + used.get("backingStorageSize", 0)) / 1e6


def cpu_seconds(process: int) -> float:
    """CPU time of a process."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process: int) -> float:
    """Megabytes of a process."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1e3


ACTIONS = {"work": time_work, "frames": time_frames, "many": time_many}


def main() -> None:
    """Run the named measurements."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or ACTIONS:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            ACTIONS[name](browser, Path(folder))
            browser.close()


if __name__ == "__main__":
    main()
