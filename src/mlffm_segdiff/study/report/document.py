"""The report as a list of blocks, rendered to Markdown and to one self-contained HTML file by Jinja2."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from mlffm_segdiff.evaluation.figures import save_figure
from mlffm_segdiff.evaluation.report import columns_of_words, markdown_table
from mlffm_segdiff.files.atomic import sweep_unfinished, write_text
from mlffm_segdiff.files.csv_text import csv_table

TEMPLATES = PackageLoader("mlffm_segdiff.study.report")
LATEX_ESCAPES = str.maketrans(
    {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}"}
    | {letter: f"\\{letter}" for letter in "&%$#_{}"}
)


@dataclass(frozen=True)
class TextBlock:
    """A heading, a paragraph, or a list."""

    kind: str
    text: str = ""
    level: int = 2
    points: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """The name of a heading in links."""
        return "-".join(re.findall(r"\w+", self.text.lower()))


@dataclass(frozen=True)
class FigureBlock:
    """A PNG file with its caption."""

    kind: ClassVar[str] = "figure"
    path: Path
    text: str

    def base64(self) -> str:
        """Return the file as base64 text."""
        return base64.b64encode(self.path.read_bytes()).decode()


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        name: Stem of its files.
        text: Caption.
        numbers: Every value, unrounded, for CSV.
        shown: The values as text.
    """

    kind: ClassVar[str] = "table"
    name: str
    text: str
    numbers: pd.DataFrame
    shown: pd.DataFrame

    def header(self) -> list[str]:
        """Return the names of the columns."""
        return [str(name) for name in self.shown.columns]

    def rows(self) -> list[list[str]]:
        """Return the cells."""
        return [[str(cell) for cell in row] for row in self.shown.itertuples(index=False)]

    def words(self) -> list[bool]:
        """Return for each column whether it is text, which is aligned left."""
        return columns_of_words(self.header(), self.rows())

    def markdown(self) -> str:
        """Return a Markdown table."""
        rows = [[cell.replace("|", "\\|") for cell in row] for row in self.rows()]
        return markdown_table(self.header(), rows)

    def latex(self) -> str:
        """Return a LaTeX table for the package booktabs."""
        escaped = self.shown.map(lambda cell: _latex(str(cell))).rename(columns=_latex)
        columns = "".join("l" if words else "r" for words in self.words())
        text: str = escaped.style.hide(axis="index").to_latex(
            hrules=True, column_format=columns, caption=_latex(self.text), label=f"tab:{self.name}"
        )
        return text


Block = TextBlock | FigureBlock | Table


@dataclass
class Document:
    """A report that sections are added to; it removes what a killed one left unfinished in its folder.

    Attributes:
        folder: Folder of its files.
        title: Title of the page.
        command: The command that writes the report, named under each figure.
        blocks: Its blocks, in order.
        files: The files written so far, relative to the folder.
    """

    folder: Path
    title: str
    command: str
    blocks: list[Block] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Remove what a killed report left."""
        for folder in (self.folder, self.folder / "tables", self.folder / "figures"):
            sweep_unfinished(folder)

    def heading(self, text: str, level: int = 2) -> None:
        """Add a heading; level 1 is the title."""
        self.blocks.append(TextBlock("heading", text, level))

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.blocks.append(TextBlock("text", text))

    def points(self, *points: str) -> None:
        """Add a list."""
        self.blocks.append(TextBlock("list", points=points))

    def table(self, table: Table) -> None:
        """Add a table, and save it."""
        self.save_table(table)
        self.blocks.append(table)

    def save_table(self, table: Table) -> None:
        """Write tables/NAME.csv and tables/NAME.tex."""
        for ending, text in (("csv", frame_csv(table.numbers)), ("tex", table.latex())):
            self._write(f"tables/{table.name}.{ending}", text)

    def figure(self, name: str, figure: Figure, caption: str) -> None:
        """Add a figure, and write figures/NAME.png."""
        self.files.append(f"figures/{name}.png")
        path = self.folder / self.files[-1]
        save_figure(figure, path)
        self.blocks.append(FigureBlock(path, f"{caption} Made by: {self.command}"))

    def write(self) -> None:
        """Write report.md and report.html."""
        for ending, escape in (("md", False), ("html", True)):
            environment = Environment(
                loader=TEMPLATES, autoescape=escape, trim_blocks=True, lstrip_blocks=True
            )
            template = environment.get_template(f"report.{ending}.j2")
            self._write(
                f"report.{ending}", template.render(title=self.title, blocks=self.blocks).strip() + "\n"
            )

    def _write(self, name: str, text: str) -> None:
        write_text(self.folder / name, text)
        self.files.append(name)


def frame_csv(frame: pd.DataFrame) -> str:
    """Return a data frame as CSV text, without its index; missing values are empty."""
    rows = ([None if pd.isna(value) else value for value in row] for row in frame.itertuples(index=False))
    return csv_table(frame.columns, rows)


def without_constant(table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the table without those of the named columns that have the same value in each row."""
    return table.drop(columns=[name for name in names if name in table and table[name].nunique() < 2])


def _latex(text: str) -> str:
    return text.translate(LATEX_ESCAPES)
