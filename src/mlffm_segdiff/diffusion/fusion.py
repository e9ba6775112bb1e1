"""Fusion of several samples of a mask into one probability map."""

from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit
from torch import Tensor

from mlffm_segdiff.config.schema import FusionName

STAPLE_ROUNDS = 500
"""Maximum number of iterations of STAPLE; five samples of each of 194 ISIC images took 2 to 120."""
SETTLED = 1e-7
"""Change of all sensitivities and specificities in an iteration after which it stops."""
SMALLEST_RATE = 1e-9
"""Lower limit of sensitivity and specificity and of 1 - each, so that their logarithms are finite."""


def fuse(samples: Tensor, fusion: FusionName) -> Tensor:
    """Fuse the samples of each image into its probability map.

    Args:
        samples: N samples of B images, NB1HW in [0, 1].
        fusion: ``mean``, or ``staple`` of the samples' masks at 0.5, see `staple_probability`.

    Returns:
        B1HW in [0, 1]; a single sample unchanged.

    Raises:
        ValueError: ``fusion`` is unknown.
    """
    if fusion not in get_args(FusionName):
        raise ValueError(f"unknown fusion {fusion!r}; give one of {', '.join(get_args(FusionName))}")
    if len(samples) == 1:
        return samples[0]
    if fusion == "mean":
        return samples.mean(dim=0)
    masks = (samples >= 0.5).squeeze(2).cpu().numpy()
    fused = np.stack([staple_probability(masks[:, image]) for image in range(masks.shape[1])])
    return torch.from_numpy(fused).unsqueeze(1).to(samples)


def staple_probability(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Estimate each pixel's probability of lesion from masks of unknown quality by STAPLE.

    STAPLE (Warfield et al. 2004): expectation maximisation of the true mask and of each mask's sensitivity
    and specificity, with the mean share of lesion as the prior of every pixel. In logarithms, as the products
    of SimpleITK's filter are 0 / 0 for some hundred masks. Masks that agree are returned unchanged, because
    STAPLE would divide 0 by 0 for all lesion or all skin. The result does not depend on the order of the
    masks, not even by rounding.

    Args:
        masks: N H W.

    Returns:
        H W in [0, 1].
    """
    if (masks == masks[0]).all():
        agreed: NDArray[np.float64] = masks[0].astype(np.float64)
        return agreed
    ordered = sorted(masks, key=lambda mask: mask.tobytes())
    votes = np.stack(ordered).reshape(len(masks), -1).astype(np.float64)
    prior, truth = logit(votes.mean()), votes.mean(axis=0)
    before = np.zeros((2, len(votes)))
    for _ in range(STAPLE_ROUNDS):
        lesion, skin = (max(share.sum(), SMALLEST_RATE) for share in (truth, 1 - truth))
        rates = np.stack([votes @ truth / lesion, (1 - votes) @ (1 - truth) / skin])
        sensitivity, specificity = np.clip(rates, SMALLEST_RATE, 1 - SMALLEST_RATE)
        for_lesion = np.log(sensitivity / (1 - specificity))
        for_skin = np.log((1 - sensitivity) / specificity)
        truth = expit(prior + for_lesion @ votes + for_skin @ (1 - votes))
        if abs(rates - before).max() < SETTLED:
            break
        before = rates
    found: NDArray[np.float64] = truth.reshape(masks.shape[1:])
    return found
