import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlffm_segdiff.files.names import printable, utf8_text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("esc\x1b]0;title\x07.png", r"esc\x1b]0;title\x07.png"),
        ("a\nerror: b.png", r"a\nerror: b.png"),
        ("a\r\tb", r"a\r\tb"),
        ("\x9b31m", r"\x9b31m"),
        ("rtl\u202egnp.png", r"rtl\u202egnp.png"),
        ("line\u2028end", r"line\u2028end"),
        (os.fsdecode(b"L\xe4sion.png"), r"L\udce4sion.png"),
        ("Läsion 皮 é [red] {}.png", "Läsion 皮 é [red] {}.png"),
    ],
)
def test_characters_that_control_a_terminal_are_escaped_and_others_stay(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(st.text())
def test_what_is_printed_has_no_control_character(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in shown)
    assert shown.encode("utf-8").decode() == shown


def test_a_name_of_other_bytes_is_text() -> None:
    assert utf8_text(os.fsdecode(b"caf\xe9\n")) == "caf\\udce9\n"
