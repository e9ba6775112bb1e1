import io
from html.parser import HTMLParser

import pandas as pd

from mlffm_segdiff.study.report.table import Table, latex_text, without_constant

NUMBERS = pd.DataFrame({"model": ["a|b", "<c> & 5%"], "score": [1 / 3, None]})
TABLE = Table("scores", "Scores of a_b, 95 %.", NUMBERS, NUMBERS.assign(score=["0.333", "-"]))


class Cells(HTMLParser):
    """The text of each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("td", "th", "caption"):
            self.found.append("")

    def handle_data(self, data: str) -> None:
        if self.found and data.strip():
            self.found[-1] += data


def test_csv_has_the_numbers_unrounded() -> None:
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(TABLE.csv())), NUMBERS)


def test_markdown_keeps_a_bar_in_its_cell() -> None:
    lines = TABLE.markdown().splitlines()
    assert lines[0] == "Scores of a_b, 95 %."
    assert lines[2:] == ["| model | score |", "| :-- | --: |", "| a\\|b | 0.333 |", "| <c> & 5% | - |"]


def test_html_reads_back() -> None:
    cells = Cells()
    cells.feed(TABLE.html())
    assert cells.found == ["Scores of a_b, 95 %.", "model", "score", "a|b", "0.333", "<c> & 5%", "-"]


def test_latex_is_a_whole_table_with_its_letters_escaped() -> None:
    text = TABLE.latex()
    assert r"\caption{Scores of a\_b, 95 \%.}" in text
    assert r"\textless{}c\textgreater{} \& 5\% & - \\" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert r"\begin{tabular}{lr}" in text
    assert latex_text(r"\~^{}$#") == (r"\textbackslash{}\textasciitilde{}\textasciicircum{}\{\}\$\#")


def test_columns_that_say_the_same_in_each_row_may_go() -> None:
    table = pd.DataFrame({"data set": ["ph2", "ph2"], "model": ["a", "a"], "score": [1, 2]})
    assert list(without_constant(table, ("data set", "absent"))) == ["model", "score"]
