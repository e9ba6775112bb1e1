"""The recipes of DermoSegDiff against Bozorgpour et al. 2023 and their configurations."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.data.distance import signed_distance
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

SIDE = 32
NARROW = ["model.dim_x=8", "model.dim_g=8", "model.x_mults=[1, 1]", "model.g_mults=[1, 1]", "data.size=32"]
LESION_COLUMNS = (5, 20)


@pytest.mark.parametrize("name", ["dermosegdiff", "dermosegdiff_a"])
def test_what_both_variants_share(name: str) -> None:
    recipe = load_recipe(name)
    model = recipe.model.model_dump()
    assert (model["name"], model["dim_x"], model["dim_g"]) == ("dermosegdiff", 128, 64)
    assert (model["x_mults"], model["g_mults"]) == ((1, 2, 3, 4, 5, 6), (1, 2, 4, 8, 16, 32))
    process = recipe.diffusion
    assert (process.objective, process.schedule, process.train_steps) == ("epsilon", "linear", 250)
    assert (process.beta_start, process.beta_end, process.mask_scale) == (4e-4, 0.08, 1.0)
    assert (process.noisy_bias, process.self_conditioning) == (1.0, False)
    assert (recipe.sampling.sampler, recipe.sampling.steps, recipe.sampling.samples) == ("ddpm", 250, 5)
    train = recipe.train
    assert (train.batch_size, train.learning_rate, train.weight_decay) == (32, 1e-4, 0)
    assert (train.ema_decay, recipe.data.size) == (0.9999, 128)


def test_the_variants_differ_only_in_their_loss() -> None:
    boundary, plain = load_recipe("dermosegdiff"), load_recipe("dermosegdiff_a")
    assert plain.model_copy(update={"name": boundary.name, "loss": boundary.loss}) == boundary
    loss = boundary.loss
    assert (loss.weight, loss.dermosegdiff_gain, loss.dermosegdiff_gamma) == ("dermosegdiff", 0.25, 0.2)
    assert plain.loss.weight == "none"


class Recorder(nn.Module):
    """Answers with a fixed map, and records the requested times."""

    total_stride = 1

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[tuple[Tensor, Tensor]] = []

    def encode(self, image: Tensor) -> list[Tensor]:
        return [image]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        self.asked.append((noisy_mask, t))
        return self.answer


def halves() -> Batch:
    """Two lesions with a straight edge, whose Canny edge is their last column."""
    lesions = np.zeros((2, SIDE, SIDE), bool)
    for lesion, columns in zip(lesions, LESION_COLUMNS, strict=True):
        lesion[:, :columns] = True
    mask = torch.from_numpy(lesions)[:, None].float() * 2 - 1
    distance = torch.from_numpy(np.stack([signed_distance(lesion) for lesion in lesions]))[:, None]
    return Batch(torch.zeros(2, 3, SIDE, SIDE), mask, distance, ["a", "b"])


def plain_loss(squared: np.ndarray, t: np.ndarray) -> float:
    return float(squared.mean())


def hybrid_loss(squared: np.ndarray, t: np.ndarray) -> float:
    """The mean of squared errors and 0.25 of that weighted by W(t), with gamma 0.2 and T 250."""
    columns = np.arange(SIDE)
    weights = []
    for lesion_columns, time in zip(LESION_COLUMNS, t, strict=True):
        away = abs(columns - (lesion_columns - 1))
        row = (1 - away / away.max()) ** ((0.2 * (250 - time) / 250) ** 0.2)
        weights.append(np.tile(row, (SIDE, 1)))
    return float(squared.mean() + 0.25 * (np.stack(weights)[:, None] * squared).mean())


@pytest.mark.parametrize(
    ("name", "by_hand"), [("dermosegdiff", hybrid_loss), ("dermosegdiff_a", plain_loss)], ids=["B", "A"]
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_loss_of_a_batch_by_hand(
    name: str, by_hand: Callable[[np.ndarray, np.ndarray], float], seed: int
) -> None:
    """Random numbers are drawn again in the order times, noise."""
    segmenter, batch = build_segmenter(load_recipe(name, NARROW)), halves()
    network = Recorder(torch.randn(2, 1, SIDE, SIDE))
    segmenter.network = network
    torch.manual_seed(seed)
    loss = segmenter.loss(batch)
    torch.manual_seed(seed)
    t = (torch.rand(2) * 250).long().numpy()
    noise = torch.randn(2, 1, SIDE, SIDE).double().numpy()
    abar = np.cumprod(1 - np.linspace(4e-4, 0.08, 250))[t][:, None, None, None]
    ((noisy, asked),) = network.asked
    np.testing.assert_array_equal(asked, t)
    np.testing.assert_allclose(
        noisy, np.sqrt(abar) * batch.mask.numpy() + np.sqrt(1 - abar) * noise, atol=1e-5
    )
    squared = (network.answer.numpy() - noise) ** 2
    assert float(loss) == pytest.approx(by_hand(squared, t), rel=1e-5)
