"""Rich's console for texts that hold names of files."""

from typing import Any

from rich.console import Console
from rich.text import Text

from mlffm_segdiff.files.names import printable


class PlainConsole(Console):
    """A console that takes texts, also those in tables, as they are but for control characters."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a line or several of text, each as `printable`."""
        return super().render_str("\n".join(map(printable, text.split("\n"))), **options)
