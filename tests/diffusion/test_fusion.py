import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from mlffm_segdiff.config.schema import MAX_SAMPLES
from mlffm_segdiff.diffusion.fusion import STAPLE_ROUNDS, fuse, staple_probability

Masks = NDArray[np.bool_]
SEVERAL = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=5))


def disc(x: float, y: float, radius: float) -> Masks:
    rows, columns = np.mgrid[:24, :30]
    found: Masks = np.hypot(columns - x, rows - y) < radius
    return found


def expected_truth(masks: Masks, rounds: int) -> NDArray[np.float64]:
    """The EM of Warfield et al. 2004, pixel by pixel and reader by reader, from the mean mask on."""
    votes = masks.reshape(len(masks), -1).T.tolist()
    prior = masks.mean()
    truth = [sum(vote) / len(vote) for vote in votes]
    for _ in range(rounds):
        lesion = sum(truth)
        skin = len(truth) - lesion
        p, q = [], []
        for rater in range(len(masks)):
            hits = sum(w for w, vote in zip(truth, votes, strict=True) if vote[rater])
            rejections = sum(1 - w for w, vote in zip(truth, votes, strict=True) if not vote[rater])
            p.append(hits / lesion)
            q.append(rejections / skin)
        for pixel, vote in enumerate(votes):
            is_lesion, is_skin = prior, 1 - prior
            for rater, says in enumerate(vote):
                is_lesion *= p[rater] if says else 1 - p[rater]
                is_skin *= 1 - q[rater] if says else q[rater]
            truth[pixel] = is_lesion / (is_lesion + is_skin)
    return np.array(truth).reshape(masks.shape[1:])


def test_staple_equals_the_papers_equations() -> None:
    """Three readers that agree within a pixel or two, and one who outlines something else."""
    masks = np.stack([disc(14, 12, 7), disc(15, 12, 6.5), disc(14, 11, 8), disc(8, 14, 9)])
    found = staple_probability(masks)
    np.testing.assert_allclose(found, expected_truth(masks, 300), rtol=0, atol=1e-6)
    assert ((found > 0.01) & (found < 0.99)).any()


@pytest.mark.parametrize("count", [2, 3, 5, 16])
def test_staple_is_that_of_simpleitk(count: int) -> None:
    generator = np.random.default_rng(count)
    masks = np.stack([disc(*place) for place in generator.uniform((12, 10, 6), (17, 14, 9), (count, 3))])
    theirs = SimpleITK.STAPLEImageFilter()
    theirs.SetMaximumIterations(STAPLE_ROUNDS)
    images = [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    expected = SimpleITK.GetArrayFromImage(theirs.Execute(images))
    np.testing.assert_allclose(staple_probability(masks), expected, rtol=0, atol=1e-5)


def test_as_many_samples_as_there_may_be_are_fused() -> None:
    """Products of their likelihoods are 0."""
    generator = np.random.default_rng(0)
    masks = np.stack([disc(15, 12, radius) for radius in generator.uniform(6, 8, MAX_SAMPLES)])
    found = staple_probability(masks)
    assert found[disc(15, 12, 6)].min() > 0.99
    assert found[~disc(15, 12, 8)].max() < 0.01


def test_staple_trusts_who_agrees() -> None:
    """The mean has the outlier's part at 1/4 everywhere; STAPLE has it at almost 0."""
    good, bad = disc(20, 8, 6), disc(8, 16, 6)
    masks = np.stack([good, disc(20, 8, 6.5), disc(20, 8, 5.5), bad])
    found = staple_probability(masks)
    assert found[bad & ~disc(20, 8, 6.5)].max() < 0.01
    assert found[good].min() > 0.99


@given(SEVERAL, st.randoms())
def test_the_order_of_samples_changes_nothing_and_probabilities_are_probabilities(
    masks: Masks, random: object
) -> None:
    found = staple_probability(masks)
    order = random.sample(range(len(masks)), len(masks))
    np.testing.assert_array_equal(staple_probability(masks[order]), found)
    assert found.shape == masks.shape[1:]
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("mask", [np.zeros((4, 5), bool), np.ones((4, 5), bool), np.eye(5, dtype=bool)])
def test_masks_that_agree_stay_as_they_are(mask: Masks) -> None:
    """The equations divide 0 by 0 for masks that are all empty or all full."""
    for count in (1, 2, 5):
        np.testing.assert_array_equal(staple_probability(np.stack([mask] * count)), mask)


def test_an_empty_sample_among_others_is_outvoted() -> None:
    masks = np.stack([disc(14, 12, 7), disc(14, 12, 7.5), disc(14, 12, 6.5), disc(0, 0, 0)])
    np.testing.assert_array_equal(staple_probability(masks) >= 0.5, masks[0])


def test_each_image_is_fused_by_its_own_samples() -> None:
    samples = torch.rand(5, 3, 1, 6, 7)
    fused = fuse(samples, "staple")
    assert (fused.shape, fused.dtype) == ((3, 1, 6, 7), torch.float32)
    for image in range(3):
        masks = (samples[:, image, 0] >= 0.5).numpy()
        np.testing.assert_allclose(fused[image, 0], staple_probability(masks), rtol=0, atol=1e-6)


def test_the_mean_is_the_mean() -> None:
    samples = torch.rand(4, 2, 1, 3, 3)
    np.testing.assert_allclose(fuse(samples, "mean"), samples.numpy().mean(axis=0), rtol=0, atol=1e-6)


def test_an_unknown_fusion_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown fusion 'median'; give one of mean, staple"):
        fuse(torch.rand(3, 1, 1, 4, 4), "median")


def test_one_sample_stays_as_it_is() -> None:
    sample = torch.rand(1, 2, 1, 3, 3)
    assert torch.equal(fuse(sample, "mean"), sample[0])
    assert torch.equal(fuse(sample, "staple"), sample[0])
