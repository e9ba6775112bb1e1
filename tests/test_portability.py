"""The code does not depend on the default encoding of the system or of its console."""

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlffm_segdiff.cli import main

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
            "write_text": method and not ast.unparse(call.func).startswith("formatter."),  # of Click's help
            "open": "b" not in mode
            and "force_zip64" not in keywords  # a member of a ZIP file, which is bytes
            and bool(mode or not method or {"mode", "newline"} & keywords),
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


def test_names_that_the_console_cannot_show_are_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A console of Windows, or a pipe from there, is often limited to 256 characters."""
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, "cp1252", write_through=True))
    with pytest.raises(SystemExit) as ended:
        main(["data", "synthetic", "-o", str(tmp_path / "病変é"), "--count", "1", "--size", "32"])
    assert ended.value.code == 0
    assert "\\u75c5\\u5909é".encode("cp1252") in printed.getvalue()
