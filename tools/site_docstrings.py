"""Docstrings as they are meant: what is said of an argument begins a line of its own."""

import re
from typing import Any

from griffe import Extension, Object

OWN_LINE = re.compile(r"(?<=\S)\n(?=\s*(?:[a-z_]+(?:, [a-z_]+)*(?: \([^)\n]*\))?(?:, [a-z_]+)*: |Raises ))")


class OwnLines(Extension):
    """Breaks a docstring's line before ``name: what it is`` and before ``Raises``."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of what was just read."""
        if obj.docstring is not None:
            obj.docstring.value = OWN_LINE.sub("  \n", obj.docstring.value)
