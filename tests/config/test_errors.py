from mlffm_segdiff.config.errors import UserError


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
