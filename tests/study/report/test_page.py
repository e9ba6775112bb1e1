import base64
import re
from pathlib import Path

from mlffm_segdiff.study.report.page import (
    Block,
    Heading,
    Paragraph,
    Picture,
    Points,
    html_page,
    markdown_page,
)


def blocks(folder: Path) -> list[Block]:
    (folder / "figures").mkdir()
    (folder / "figures" / "one.png").write_bytes(b"picture")
    return [
        Heading("Title", 1),
        Paragraph("a < b"),
        Points(["first", "second"]),
        Picture(folder, "figures/one.png", "What is seen."),
    ]


def test_markdown_links_the_pictures(tmp_path: Path) -> None:
    assert markdown_page(blocks(tmp_path)) == (
        "# Title\n\na < b\n\n- first\n- second\n\n![one](figures/one.png)\n\nWhat is seen.\n"
    )


def test_html_holds_the_pictures_and_asks_for_nothing(tmp_path: Path) -> None:
    page = html_page("T & T", blocks(tmp_path))
    assert "<title>T &amp; T</title>" in page
    assert "<p>a &lt; b</p>" in page
    assert re.findall(r'(?:src|href)="([^,"]*)', page) == ["data:image/png;base64"]
    (data,) = re.findall(r'base64,([^"]+)', page)
    assert base64.b64decode(data) == b"picture"
