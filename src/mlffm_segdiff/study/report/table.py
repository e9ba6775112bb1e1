"""A table in five forms: numbers for CSV, and text for Markdown, HTML and LaTeX."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mlffm_segdiff.evaluation.report import columns_of_words, markdown_table

LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


@dataclass(frozen=True)
class Table:
    """name: of its files. numbers: every value, unrounded. shown: the same for reading, all text."""

    name: str
    caption: str
    numbers: pd.DataFrame
    shown: pd.DataFrame

    def markdown(self) -> str:
        """Return the caption and a Markdown table."""
        rows = [[cell.replace("|", "\\|") for cell in row] for row in self._rows()]
        return f"{self.caption}\n\n{markdown_table(self._header(), rows)}"

    def html(self) -> str:
        """Return an HTML table with its caption."""
        header = self._html_row("th", self._header())
        body = "".join(f"<tr>{self._html_row('td', row)}</tr>\n" for row in self._rows())
        caption = f"<caption>{html.escape(self.caption)}</caption>"
        head = f"<thead><tr>{header}</tr></thead>"
        return f'<div class="table"><table>{caption}\n{head}\n<tbody>\n{body}</tbody></table></div>'

    def latex(self) -> str:
        """Return a LaTeX table (package booktabs)."""
        header, *rows = (" & ".join(map(latex_text, row)) + r" \\" for row in (self._header(), *self._rows()))
        columns = "".join("l" if words else "r" for words in self._of_words())
        return "\n".join(
            [
                r"\begin{table}",
                rf"\caption{{{latex_text(self.caption)}}}",
                rf"\label{{tab:{self.name}}}",
                rf"\begin{{tabular}}{{{columns}}}",
                r"\toprule",
                header,
                r"\midrule",
                *rows,
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )

    def csv(self) -> str:
        """Return the numbers as CSV text."""
        text: str = self.numbers.to_csv(index=False, lineterminator="\n")
        return text

    def _html_row(self, tag: str, cells: Sequence[str]) -> str:
        kinds = (' class="words"' if words else "" for words in self._of_words())
        return "".join(
            f"<{tag}{kind}>{html.escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)
        )

    def _of_words(self) -> list[bool]:
        return columns_of_words(self._header(), self._rows())

    def _header(self) -> list[str]:
        return [str(name) for name in self.shown.columns]

    def _rows(self) -> list[list[str]]:
        return [[str(cell) for cell in row] for row in self.shown.itertuples(index=False)]


def latex_text(text: str) -> str:
    """Return the text with LaTeX's special letters escaped."""
    return "".join(LATEX_SPECIAL.get(letter, letter) for letter in text)


def without_constant(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the table without those of the named columns that say the same in each row."""
    return table.drop(columns=[name for name in names if name in table and table[name].nunique() < 2])
