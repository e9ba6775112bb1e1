from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from mlffm_segdiff.diffusion.process import draw_times
from mlffm_segdiff.diffusion.times import ImportanceTimes, PowerLawTimes

CPU = torch.device("cpu")


def filled(steps: int, loss: Callable[[int], float], rounds: int = 10) -> ImportanceTimes:
    """Ten losses of each time, or so many."""
    times = ImportanceTimes(steps)
    for _ in range(rounds):
        times.observe(torch.arange(steps), torch.tensor([loss(t) for t in range(steps)]))
    return times


def test_times_without_importance_are_drawn_as_before_and_count_alike() -> None:
    times = PowerLawTimes(50, 2.0)
    torch.manual_seed(0)
    t, weights = times.draw(64, CPU)
    times.observe(t, torch.rand(64))
    torch.manual_seed(0)
    assert torch.equal(t, draw_times(64, 50, 2.0, CPU))
    assert torch.equal(weights, torch.ones(64))
    assert times.state() == {}
    times.load_state({})


def test_probabilities_by_hand() -> None:
    """Second moments 9 and (5 * 0 + 5 * 2) / 10 = 1, so roots 3 and 1: shares 3/4 and 1/4 of 0.999."""
    times = ImportanceTimes(2)
    times.observe(torch.tensor([0] * 10), torch.tensor([3.0] * 10))
    times.observe(torch.tensor([1] * 10), torch.tensor([0.0, 2**0.5] * 5))
    expected = [0.999 * 0.75 + 0.0005, 0.999 * 0.25 + 0.0005]
    np.testing.assert_allclose(times.probabilities(), expected, rtol=1e-6)


def test_times_are_drawn_alike_until_each_has_ten_losses() -> None:
    times = filled(4, lambda t: t + 1.0, rounds=9)
    times.observe(torch.tensor([0, 0, 1, 3]), torch.full((4,), 7.0))
    assert (times.probabilities() == 0.25).all()
    times.observe(torch.tensor([2]), torch.tensor([7.0]))
    assert times.probabilities().diff().ne(0).all()


def test_the_oldest_loss_goes_first() -> None:
    times = filled(2, lambda _: 100.0)
    times.observe(torch.tensor([0] * 9), torch.full((9,), 1.0))
    root = (0.9 + 0.1 * 100**2) ** 0.5  # one of the old ones is left
    np.testing.assert_allclose(times.probabilities()[0], 0.999 * root / (root + 100) + 0.0005)
    times.observe(torch.tensor([0]), torch.ones(1))
    np.testing.assert_allclose(times.probabilities()[0], 0.999 * 1 / 101 + 0.0005)


def test_draws_follow_the_probabilities_and_weigh_their_inverse() -> None:
    torch.manual_seed(0)
    times = filled(5, lambda t: (t + 1.0) ** 2)
    t, weights = times.draw(20_000, CPU)
    p = times.probabilities()
    assert chisquare(torch.bincount(t, minlength=5), 20_000 * p).pvalue > 0.01
    torch.testing.assert_close(weights, (1 / (5 * p[t])).float())
    assert (t.dtype, weights.dtype) == (torch.int64, torch.float32)


def test_the_weighted_loss_has_the_same_mean_and_a_smaller_spread() -> None:
    """A toy whose loss at t is 2^-t times a random factor; its mean over all t alike is known."""
    torch.manual_seed(0)
    times = filled(12, lambda t: 2.0**-t)
    factor = 0.5 + torch.rand(50_000)  # of mean 1
    means, spreads = [], []
    for sampler in (times, PowerLawTimes(12)):
        t, weights = sampler.draw(50_000, CPU)
        terms = weights * factor * 2.0**-t
        means.append(float(terms.mean()))
        spreads.append(float(terms.std()))
    truth = float((2.0 ** -torch.arange(12)).mean())
    for mean, spread in zip(means, spreads, strict=True):
        assert mean == pytest.approx(truth, abs=4 * spread / 50_000**0.5)
    assert spreads[0] < 0.3 * spreads[1]


def test_losses_of_nothing_still_leave_every_time_a_chance() -> None:
    times = filled(3, lambda t: 1.0 if t == 0 else 0.0)
    np.testing.assert_allclose(times.probabilities(), [0.999 + 0.001 / 3, 0.001 / 3, 0.001 / 3], rtol=1e-9)


def test_it_goes_on_from_its_state_as_if_it_had_not_stopped() -> None:
    times = filled(6, lambda t: t + 1.0)
    times.observe(torch.tensor([2, 2]), torch.tensor([9.0, 8.0]))
    again = ImportanceTimes(6)
    again.load_state(times.state())
    for each in (times, again):
        each.observe(torch.tensor([2, 5]), torch.tensor([0.5, 0.25]))
    assert torch.equal(times.probabilities(), again.probabilities())
    draws = []
    for each in (times, again):
        torch.manual_seed(3)
        draws.append(each.draw(100, CPU)[0])
    assert torch.equal(*draws)
