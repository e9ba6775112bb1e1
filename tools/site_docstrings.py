"""Docstrings as they are meant: an argument's words begin a line of their own, and a star is a star."""

import re
from typing import Any

from griffe import Extension, Object

OWN_LINE = re.compile(r"(?<=\S)\n(?=\s*(?:[a-z_]+(?:, [a-z_]+)*(?: \([^)\n]*\))?(?:, [a-z_]+)*: |Raises ))")
STAR = re.compile(r"(`[^`]*`)|\*")


class PlainWords(Extension):
    """Breaks a line before ``name: what it is`` and before ``Raises``; escapes stars outside code."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of what was just read."""
        if obj.docstring is not None:
            starred = STAR.sub(lambda found: found[1] or r"\*", obj.docstring.value)
            obj.docstring.value = OWN_LINE.sub("  \n", starred)
