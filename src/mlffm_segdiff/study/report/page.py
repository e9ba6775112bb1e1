"""A report as a list of blocks, written as Markdown and as one HTML file with all it needs inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 0.4rem; }
th, td { padding: 0.2rem 0.6rem; text-align: right; border-bottom: 1px solid #ddd; }
td { white-space: nowrap; }
.words { text-align: left; white-space: normal; }
th { border-bottom: 2px solid #222; }
figure { margin: 1.5rem 0; } img { max-width: 100%; } figcaption { font-size: 0.9rem; }
.table { overflow-x: auto; }
"""


class Block(Protocol):
    """A piece of the report."""

    def markdown(self) -> str:
        """Return it as Markdown."""

    def html(self) -> str:
        """Return it as HTML."""


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2

    def markdown(self) -> str:
        """Return it as Markdown."""
        return f"{'#' * self.level} {self.text}\n"

    def html(self) -> str:
        """Return it as HTML."""
        return f"<h{self.level}>{html.escape(self.text)}</h{self.level}>"


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str

    def markdown(self) -> str:
        """Return it as Markdown."""
        return f"{self.text}\n"

    def html(self) -> str:
        """Return it as HTML."""
        return f"<p>{html.escape(self.text)}</p>"


@dataclass(frozen=True)
class Points:
    """A list."""

    items: Sequence[str]

    def markdown(self) -> str:
        """Return it as Markdown."""
        return "".join(f"- {item}\n" for item in self.items)

    def html(self) -> str:
        """Return it as HTML."""
        return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in self.items) + "</ul>"


@dataclass(frozen=True)
class Picture:
    """A PNG file: ``folder``/``name``, where the Markdown page lies in ``folder``."""

    folder: Path
    name: str
    caption: str

    def markdown(self) -> str:
        """Return it as Markdown, the file linked."""
        return f"![{Path(self.name).stem}]({self.name})\n\n{self.caption}\n"

    def html(self) -> str:
        """Return it as HTML, the file inside."""
        data = base64.b64encode((self.folder / self.name).read_bytes()).decode()
        caption = html.escape(self.caption)
        return (
            f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )


def markdown_page(blocks: Sequence[Block]) -> str:
    """Return the blocks as one Markdown text."""
    return "\n".join(block.markdown() for block in blocks)


def html_page(title: str, blocks: Sequence[Block]) -> str:
    """Return the blocks as one HTML file, style and pictures inside."""
    body = "\n".join(block.html() for block in blocks)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )
