import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from mlffm_segdiff.diffusion.noise import draw_noise, noise_generators, sample_levels

SEEDS = st.integers(-5, 2**40)


def noise_of(seed: int, samples: int = 1, images: int = 1) -> torch.Tensor:
    """Noise by sample and image, NB1HW."""
    noise = draw_noise(noise_generators(seed, samples, images), 4, 5)
    return noise.view(samples, images, 1, 4, 5)


@given(SEEDS, st.integers(1, 5), st.integers(1, 6), st.integers(0, 10**9))
def test_noise_is_the_same_for_every_image_of_every_batch(
    seed: int, samples: int, images: int, global_seed: int
) -> None:
    torch.manual_seed(global_seed)
    noise = noise_of(seed, samples, images)
    single = noise_of(seed, samples)
    assert torch.equal(noise, single.expand_as(noise))


@given(SEEDS, st.integers(1, 4), st.integers(1, 4))
def test_the_first_samples_do_not_depend_on_how_many_follow(seed: int, samples: int, more: int) -> None:
    assert torch.equal(noise_of(seed, samples + more)[:samples], noise_of(seed, samples))


@given(SEEDS, st.integers(0, 20), st.integers(0, 20))
def test_another_seed_or_sample_gives_other_noise(seed: int, one: int, other: int) -> None:
    noise = noise_of(seed, 21)
    assert (one == other) == torch.equal(noise[one], noise[other])
    assert not torch.equal(noise[one], noise_of(seed + 1, 21)[one])


def test_seed_and_sample_are_not_mixed_up() -> None:
    assert not torch.equal(noise_of(1, 12)[11], noise_of(11, 2)[1])
    assert not torch.equal(noise_of(1, 24)[23], noise_of(12, 4)[3])


def test_generators_of_one_sample_do_not_share_their_state() -> None:
    """An ancestral sampler draws from each in turn, and every image must get the same fresh noise."""
    generators = noise_generators(0, 2, 3)
    first, second = (draw_noise(generators, 4, 5).view(2, 3, 20) for _ in range(2))
    for noise in (first, second):
        assert torch.equal(noise, noise[:, :1].expand_as(noise))
    assert not torch.equal(first, second)


def test_noise_stays_the_same_across_machines_and_versions() -> None:
    """Masks of a release must be drawn again by the next: these numbers were written down once."""
    expected = [[1.88874, 0.415962, 1.440143], [-1.635396, -1.370746, -1.369728]]
    np.testing.assert_allclose(noise_of(0, 2).flatten(1)[:, :3], expected, atol=1e-6)


def test_levels_stay_the_same_across_machines_and_versions() -> None:
    np.testing.assert_allclose(sample_levels(0, 4), [0.451379, -0.451379, 1.99308, -1.99308], atol=1e-6)


def test_noise_is_standard_normal() -> None:
    noise = draw_noise(noise_generators(0, 50, 1), 20, 30)
    assert noise.shape == (50, 1, 20, 30)
    assert kstest(noise.flatten().numpy(), "norm").pvalue > 0.01
    assert abs(float(torch.corrcoef(noise.flatten(1)).fill_diagonal_(0).mean())) < 0.01


@given(seed=st.integers(), samples=st.integers(1, 40), more=st.integers(1, 40))
def test_levels_are_pairs_of_opposite_sign_and_depend_on_seed_and_number_only(
    seed: int, samples: int, more: int
) -> None:
    levels = sample_levels(seed, samples)
    assert len(levels) == samples
    assert levels[1::2] == tuple(-level for level in levels[: samples - samples % 2 : 2])
    assert sample_levels(seed, samples + more)[:samples] == levels


def test_levels_are_standard_normal_and_spread_more_evenly_than_chance() -> None:
    for seed in range(20):
        found = kstest(sample_levels(seed, 64), "norm")
        assert found.statistic < 0.05  # independent draws: 0.11 on average
    assert len({sample_levels(seed, 1) for seed in range(20)}) == 20


def test_torchs_own_generator_is_unchanged() -> None:
    before = torch.get_rng_state()
    noise_of(0, 2, 2)
    assert torch.equal(torch.get_rng_state(), before)
