"""Screenshot the page of `mlffm-segdiff serve` for docs/images/page.jpg. Needs Chromium on the PATH."""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

TARGET = Path(__file__).parents[1] / "docs" / "images" / "page.jpg"
SERVE = [sys.executable, "-m", "mlffm_segdiff", "serve", "--port", "0", "--json", "--quiet"]


def main() -> None:
    """Serve, segment a sample, and save what the browser shows."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    server = subprocess.Popen(SERVE, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert server.stdout is not None
        url = next(line.split('"')[3] for line in server.stdout if '"url"' in line)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 960})
            page.goto(url)
            page.locator("button:has(img)").nth(4).click()
            page.get_by_text("Expected Dice").wait_for()
            page.wait_for_timeout(8_000)  # until the notice has disappeared
            page.screenshot(path=TARGET, type="jpeg", quality=85)
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
