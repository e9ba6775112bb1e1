import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.estimates import Estimate, as_level, shown_level, with_interval

DICE = Estimate(0.912, {0.8: (0.85, 0.95), 0.9: (0.781, 0.968)})


def test_an_estimate_is_printed_with_its_interval() -> None:
    assert str(DICE) == "0.91 (0.78 to 0.97)"
    assert str(Estimate(5210, {0.9: (4800.2, 6100.7)})) == "5210 (4800 to 6101)"
    assert str(Estimate(0.5)) == "0.50"


def test_an_interval_is_chosen_by_its_level() -> None:
    assert (DICE.interval(), DICE.interval(0.8)) == ((0.781, 0.968), (0.85, 0.95))
    assert Estimate(0.5).interval() is None
    with pytest.raises(UserError, match=r"level 0.99 is not calibrated; choose from 0.8, 0.9"):
        DICE.interval(0.99)


def test_levels_that_no_output_offers_are_not_offered() -> None:
    area = Estimate(5, {0.8: (4, 6), 0.95: (3, 7), 0.975: (2, 8)})
    for level in (0.5, 97.5):
        with pytest.raises(UserError, match=r"not calibrated; choose from 0\.8, 0\.95$"):
            area.interval(level)
    with pytest.raises(UserError, match=r"level '90' is not a number; give a share such as 0\.9"):
        area.interval("90")


def test_intervals_are_scaled_with_their_number() -> None:
    assert Estimate(10, {0.9: (5, 20)}).scaled(0.5) == Estimate(5, {0.9: (2.5, 10)})


@pytest.mark.parametrize(("given", "level"), [(0.9, 0.9), (90, 0.9), (97.5, 0.975), (0.5, 0.5)])
def test_a_level_is_a_share_or_per_cent(given: float, level: float) -> None:
    assert as_level(given) == level


@pytest.mark.parametrize("given", [0, -0.1, 1, 100, 250, float("nan"), float("inf")])
def test_other_levels_are_refused(given: float) -> None:
    with pytest.raises(UserError, match="is out of range; give a share"):
        as_level(given)


def test_by_default_outputs_show_90_per_cent_or_the_highest_there_is() -> None:
    assert shown_level(None, (0.8, 0.9, 0.95)) == 0.9
    assert shown_level(None, (0.5, 0.8)) == 0.8
    assert shown_level(None, ()) is None
    assert shown_level(0.95, ()) is None
    assert shown_level(80, (0.8, 0.9)) == 0.8
    with pytest.raises(UserError, match=r"level 0\.95 is not calibrated; choose from 0\.8, 0\.9"):
        shown_level(95, (0.8, 0.9))


def test_an_interval_is_taken_by_either_form_of_its_level() -> None:
    one = Estimate(5.0, {0.9: (4.0, 7.0)})
    assert one.interval(90) == one.interval(0.9) == (4.0, 7.0)


@pytest.mark.parametrize(
    ("value", "ends", "text"),
    [
        (0.91, (0.78, 0.966), "0.91 (0.78 to 0.97)"),
        (12.34, (9.0, 101.26), "12.3 (9.0 to 101.3)"),
        (1234.0, (1000.4, 1500.0), "1234 (1000 to 1500)"),
        (-3.0, (-5.0, 1.0), "-3.00 (-5.00 to 1.00)"),
        (0.5, None, "0.50"),
    ],
)
def test_numbers_in_words(value: float, ends: tuple[float, float] | None, text: str) -> None:
    assert with_interval(value, ends) == text
