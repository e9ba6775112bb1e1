import pytest

from mlffm_segdiff.config.errors import UserError, one_line


def test_the_fix_is_what_follows_the_last_semicolon() -> None:
    error = UserError("a.png is damaged (no data; 0 bytes); restore the file")
    assert (error.problem, error.fix) == ("a.png is damaged (no data; 0 bytes)", "restore the file")


def test_a_message_without_a_fix_is_both() -> None:
    error = UserError("a.png is damaged")
    assert error.problem == error.fix == "a.png is damaged"


def test_of_a_long_message_the_middle_is_left_out() -> None:
    error = UserError(f"config.json: key {'x' * 20_000!r} is unknown; remove it")
    assert len(str(error)) == 1000
    assert str(error).startswith("config.json: key 'xxx")
    assert error.fix == "remove it"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("first\nsecond"), "ValueError: first"),
        (ValueError("\n  first\n"), "ValueError: first"),
        (AssertionError(), "AssertionError"),
        (UserError("no data at x; name them"), "no data at x; name them"),
    ],
)
def test_an_error_is_one_line(error: Exception, expected: str) -> None:
    assert one_line(error) == expected
