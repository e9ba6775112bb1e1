import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss

from mlffm_segdiff.data.distance import signed_distance
from mlffm_segdiff.losses.region import RegionLoss, kervadec_boundary, weighted_squared_error

LOGIT = torch.linspace(-3, 4, 2 * 6 * 5).reshape(2, 1, 6, 5).sin() * 3
LESION = torch.zeros(2, 1, 6, 5)
LESION[0, 0, 1:4, 1:3] = 1
LESION[1, 0, 2:5, 0:4] = 1
MASK = LESION * 2 - 1
DISTANCE = torch.from_numpy(np.stack([signed_distance(row[0].numpy() > 0) for row in LESION]))[:, None]
WEIGHT = torch.linspace(1, 2, 60).reshape(2, 1, 6, 5)
ONE = torch.ones(1)


def test_kervadec_by_hand() -> None:
    probability = torch.tensor([[[[1.0, 0.5], [0.0, 0.25]]]])
    distance = torch.tensor([[[[-2.0, 4.0], [6.0, -8.0]]]])
    # (1 * -2 + 0.5 * 4 + 0 * 6 + 0.25 * -8) / 4 pixels / height 2
    assert float(kervadec_boundary(probability, distance)) == pytest.approx(-2 / 4 / 2)


def test_kervadec_is_least_at_the_mask_among_all_masks() -> None:
    mask = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0]], bool)
    distance = torch.from_numpy(signed_distance(mask))[None, None]
    masks = torch.tensor(list(itertools.product((0.0, 1.0), repeat=9))).reshape(-1, 1, 1, 3, 3)
    terms = torch.stack([kervadec_boundary(candidate, distance) for candidate in masks])
    assert torch.equal(masks[terms.argmin()][0, 0], torch.from_numpy(mask).float())
    assert int((terms == terms.min()).sum()) == 1


def test_kervadec_is_the_area_between_the_contours_weighted_by_distance() -> None:
    """Kervadec et al. 2021, equations 2 to 4: a constant, and |distance| summed where masks differ."""
    masks = np.random.default_rng(0).random((20, 9, 7)) < 0.4
    truth = np.zeros((9, 7), bool)
    truth[2:7, 1:5] = True
    distance = torch.from_numpy(signed_distance(truth))[None, None]
    least = kervadec_boundary(torch.from_numpy(truth).float()[None, None], distance)
    for mask in masks:
        term = kervadec_boundary(torch.from_numpy(mask).float()[None, None], distance)
        between = np.abs(distance[0, 0].numpy())[mask != truth].sum()
        assert float(term - least) * truth.size * 9 == pytest.approx(between, rel=1e-4)


def test_kervadec_does_not_grow_with_resolution() -> None:
    coarse = np.zeros((16, 16), bool)
    coarse[4:10, 5:12] = True
    fine = coarse.repeat(8, 0).repeat(8, 1)
    terms = [
        float(
            kervadec_boundary(
                torch.full((1, 1, *m.shape), 0.5), torch.from_numpy(signed_distance(m))[None, None]
            )
        )
        for m in (coarse, fine)
    ]
    assert terms[0] == pytest.approx(terms[1], rel=0.05)


def test_cross_entropy_is_torchs_with_weights() -> None:
    loss = RegionLoss(cross_entropy=3, dice=0)(LOGIT, MASK, DISTANCE, WEIGHT)
    expected = F.binary_cross_entropy(torch.sigmoid(LOGIT), LESION, weight=WEIGHT)
    assert float(loss) == pytest.approx(3 * float(expected), rel=1e-5)


def test_dice_is_monais_and_the_formula_by_hand() -> None:
    loss = float(RegionLoss(cross_entropy=0, dice=2)(LOGIT, MASK, DISTANCE, WEIGHT))
    probability = torch.sigmoid(LOGIT)
    assert loss == pytest.approx(2 * float(DiceLoss(smooth_nr=1, smooth_dr=1)(probability, LESION)), rel=1e-6)
    p, g = probability.numpy().reshape(2, -1), LESION.numpy().reshape(2, -1)
    dice = (2 * (p * g).sum(1) + 1) / (p.sum(1) + g.sum(1) + 1)
    assert loss == pytest.approx(2 * float((1 - dice).mean()), rel=1e-5)


def test_terms_add_up() -> None:
    parts = [
        float(RegionLoss(*factors)(LOGIT, MASK, DISTANCE, WEIGHT))
        for factors in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    ]
    assert parts[2] == pytest.approx(float(kervadec_boundary(torch.sigmoid(LOGIT), DISTANCE)))
    assert float(RegionLoss(1, 1, 0)(LOGIT, MASK, DISTANCE, WEIGHT)) == pytest.approx(parts[0] + parts[1])
    together = float(RegionLoss(2, 3, 4)(LOGIT, MASK, DISTANCE, WEIGHT))
    assert together == pytest.approx(2 * parts[0] + 3 * parts[1] + 4 * parts[2], rel=1e-5)


def test_a_weight_of_one_number_counts_for_every_pixel() -> None:
    loss = RegionLoss()
    assert torch.equal(loss(LOGIT, MASK, DISTANCE, ONE), loss(LOGIT, MASK, DISTANCE, torch.ones_like(LOGIT)))


def test_the_loss_of_the_true_mask_is_near_zero_and_falls_towards_it() -> None:
    losses = [float(RegionLoss()(sharpness * MASK, MASK, DISTANCE, WEIGHT)) for sharpness in (-4, 0, 4, 40)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-6


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_full_and_empty_masks_have_finite_loss_and_gradient(sign: float) -> None:
    mask = torch.full((1, 1, 4, 4), sign)
    distance = torch.from_numpy(signed_distance(mask[0, 0].numpy() > 0))[None, None]
    logit = torch.zeros(1, 1, 4, 4, requires_grad=True)
    loss = RegionLoss(1, 1, 0.5)(logit, mask, distance, ONE)
    loss.backward()
    assert loss.isfinite()
    assert logit.grad is not None
    assert (sign * logit.grad < 0).all()


def test_weighted_squared_error_by_hand() -> None:
    output, target = torch.tensor([1.0, 2.0, 3.0, 1.0]), torch.tensor([0.0, 2.0, 5.0, 2.0])
    weight = torch.tensor([3.0, 1.0, 2.0, 4.0])
    found = weighted_squared_error(*(x.view(2, 1, 1, 2) for x in (output, target, weight)))
    assert found.item() == (3 * 1 + 1 * 0 + 2 * 4 + 4 * 1) / 4
    same = weighted_squared_error(output.view(2, 1, 1, 2), target.view(2, 1, 1, 2), torch.ones(1, 1, 1, 1))
    assert same.item() == 1.5


@pytest.mark.parametrize("smooth", [1.0, 1e-5])
def test_batch_dice_is_nnunets_of_its_two_classes(smooth: float) -> None:
    """nnU-Net's softmax over background (0) and lesion (logit), Dice of the lesion over all pixels, and CE.

    It has no 1 in front of the Dice.
    """
    loss = float(RegionLoss(batch_dice=True, dice_smooth=smooth)(LOGIT, MASK, DISTANCE, ONE))
    logits = torch.cat([torch.zeros_like(LOGIT), LOGIT], 1)
    lesion = torch.softmax(logits, 1)[:, 1]
    truth = LESION[:, 0]
    dice = (2 * (lesion * truth).sum() + smooth) / (lesion.sum() + truth.sum() + smooth)
    expected = F.cross_entropy(logits, truth.long()) - dice
    assert loss - 1 == pytest.approx(float(expected), rel=1e-5)
    assert loss != pytest.approx(float(RegionLoss(dice_smooth=smooth)(LOGIT, MASK, DISTANCE, ONE)), rel=1e-4)
