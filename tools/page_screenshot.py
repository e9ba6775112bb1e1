"""Screenshot the page of `mlffm-segdiff serve` for docs/images/page.jpg. Needs Chromium on the PATH."""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

TARGET = Path(__file__).parents[1] / "docs" / "images" / "page.jpg"
SAMPLES = Path(__file__).parents[1] / "src" / "mlffm_segdiff" / "samples"
SERVE = [sys.executable, "-m", "mlffm_segdiff", "serve", "--port", "0", "--json", "--quiet"]


def main() -> None:
    """Serve, segment the samples, and save what the browser shows."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    server = subprocess.Popen(SERVE, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert server.stdout is not None
        url = next(line.split('"')[3] for line in server.stdout if '"url"' in line)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(url)
            page.locator("#files").set_input_files(sorted(SAMPLES.glob("*.png")))
            page.locator("body.open").wait_for()
            page.locator("#progress-box").wait_for(state="hidden")
            page.keyboard.press("a")
            page.get_by_text("sample_2.png: the lesion covers").wait_for()
            page.screenshot(path=TARGET, type="jpeg", quality=85)
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
