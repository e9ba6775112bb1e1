import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from mlffm_segdiff.study.report.document import Document, Table, without_constant

NUMBERS = pd.DataFrame({"model": ["a|b", "<c> & 5%"], "score": [1 / 3, None]})
TABLE = Table("scores", "Scores of a_b, 95 %.", NUMBERS, NUMBERS.assign(score=["0.333", "-"]))
PARTS = ("h1", "p", "li", "figcaption", "td", "th", "caption")


class Texts(HTMLParser):
    """The text of each element with words."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in PARTS:
            self.found.append("")

    def handle_data(self, data: str) -> None:
        if self.found and data.strip():
            self.found[-1] += data


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    document = Document(tmp_path_factory.mktemp("report"), "T & T", "make it")
    document.heading("Title", 1)
    document.text("a < b")
    document.points("first", "second")
    document.figure("one", Figure(figsize=(1, 1)), "What it shows.")
    document.table(TABLE)
    document.write()
    return document


def test_what_a_killed_report_left_is_removed(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "tables", tmp_path / "figures"):
        (folder / ".part-abcd_123").mkdir(parents=True)
    Document(tmp_path, "T", "make it")
    assert not list(tmp_path.rglob(".part-*"))


def test_markdown_links_the_figures_and_keeps_a_bar_in_its_cell(document: Document) -> None:
    assert (document.folder / "report.md").read_text() == (
        "# Title\n\na < b\n\n- first\n- second\n\n"
        "![one](figures/one.png)\n\nWhat it shows. Made by: make it\n\n"
        "Scores of a_b, 95 %.\n\n| model | score |\n| :-- | --: |\n| a\\|b | 0.333 |\n| <c> & 5% | - |\n"
    )


def test_html_reads_back_and_holds_the_figures(document: Document) -> None:
    page = (document.folder / "report.html").read_text()
    assert "<title>T &amp; T</title>" in page
    texts = Texts()
    texts.feed(page)
    words = ["Title", "a < b", "first", "second", "What it shows. Made by: make it"]
    assert texts.found == [*words, "Scores of a_b, 95 %.", "model", "score", "a|b", "0.333", "<c> & 5%", "-"]
    assert re.findall(r'(?:src|href)="([^,"]*)', page) == ["data:image/png;base64"]
    (data,) = re.findall(r'base64,([^"]+)', page)
    assert base64.b64decode(data) == (document.folder / "figures" / "one.png").read_bytes()


def test_csv_has_the_numbers_unrounded(document: Document) -> None:
    text = (document.folder / "tables" / "scores.csv").read_text()
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(text)), NUMBERS)


def test_latex_is_a_complete_table_with_special_letters_escaped(document: Document) -> None:
    text = (document.folder / "tables" / "scores.tex").read_text()
    assert r"\caption{Scores of a\_b, 95 \%.}" in text
    assert r"\textless{}c\textgreater{} \& 5\% & - \\" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert r"\begin{tabular}{lr}" in text
    odd = Table("odd", r"\~^{}$#", NUMBERS, NUMBERS).latex()
    assert r"\caption{\textbackslash{}\textasciitilde{}\textasciicircum{}\{\}\$\#}" in odd


def test_constant_columns_may_go() -> None:
    table = pd.DataFrame({"data set": ["ph2", "ph2"], "model": ["a", "a"], "score": [1, 2]})
    assert list(without_constant(table, ("data set", "absent"))) == ["model", "score"]
