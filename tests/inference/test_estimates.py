import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.estimates import Estimate

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


def test_intervals_are_scaled_with_their_number() -> None:
    assert Estimate(10, {0.9: (5, 20)}).scaled(0.5) == Estimate(5, {0.9: (2.5, 10)})
