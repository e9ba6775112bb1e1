"""How many damaged inputs a campaign reads: a few in every test run, many with ``-m fuzz``."""

import os

import pytest

TOTAL = 10_000
SHORT_TOTAL = 300
LONG_SECONDS, SHORT_SECONDS = 7200, 120


def sizes(share: float) -> pytest.MarkDecorator:
    """Parametrize a test with `count`, this share of the inputs of all campaigns.

    FUZZ_COUNT replaces the number of a long campaign, for one reader at a time.
    """
    wanted = int(os.environ.get("FUZZ_COUNT", "0")) or round(share * TOTAL)
    return pytest.mark.parametrize(
        "count",
        [
            pytest.param(round(share * SHORT_TOTAL), id="short", marks=_limit(SHORT_SECONDS)),
            pytest.param(wanted, id="long", marks=[pytest.mark.fuzz, _limit(LONG_SECONDS)]),
        ],
    )


def _limit(seconds: int) -> pytest.MarkDecorator:
    """Stop by a thread: the alarm of this process is the time limit of each input."""
    return pytest.mark.timeout(seconds, method="thread")
