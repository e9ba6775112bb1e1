"""The code does not depend on the system: its default encoding, its way to start processes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted(path for top in ("src", "tools", "examples") for path in (ROOT / top).rglob("*.py"))


def default_encodings(source: str) -> Iterator[str]:
    """Yield calls that read or write text in the system's encoding, which differs between systems."""
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        method = isinstance(call.func, ast.Attribute)
        name = call.func.attr if method else getattr(call.func, "id", "")
        keywords = {keyword.arg for keyword in call.keywords}
        mode = "".join(arg.value for arg in call.args if isinstance(getattr(arg, "value", None), str))
        implicit = {
            "read_text": not call.args,
            "write_text": True,
            "open": "b" not in mode and bool(mode or not method or {"mode", "newline"} & keywords),
        }.get(name, "text" in keywords)
        if implicit and "encoding" not in keywords:
            yield ast.unparse(call)


def test_every_text_file_names_its_encoding() -> None:
    assert len(CODE) > 200
    found = {path.name: list(default_encodings(path.read_text("utf-8"))) for path in CODE}
    assert not {name: calls for name, calls in found.items() if calls}


@pytest.mark.parametrize(
    "call",
    ["p.read_text()", "p.write_text(x)", "open(p)", "p.open('w')", "p.open(newline='')", "run(a, text=True)"],
)
def test_a_default_encoding_is_found(call: str) -> None:
    assert len(list(default_encodings(call))) == 1


@pytest.mark.parametrize(
    "call", ["p.read_text('utf-8')", "p.open('rb')", "Image.open(p)", "p.write_bytes(x)"]
)
def test_a_named_encoding_or_bytes_are_not(call: str) -> None:
    assert not list(default_encodings(call))
