from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.loss_config import LossConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.losses import LOSSES, RegionLoss, register_loss
from mlffm_segdiff.segmenters.assembly import build_loss, build_segmenter
from mlffm_segdiff.segmenters.recipe import check_recipe

TARGET = "mlffm_segdiff.losses.region.RegionLoss"


def built(**keys: object) -> object:
    return build_loss(LossConfig.model_validate(keys))


def test_region_is_the_default_and_reads_its_own_keys() -> None:
    loss = built(cross_entropy=2, dice_smooth=0.5)
    assert isinstance(loss, RegionLoss)
    assert (loss.cross_entropy, loss.dice_loss.smooth_nr) == (2, 0.5)


def test_a_registered_function_is_called_with_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOSSES, "_parts", dict(LOSSES))

    @register_loss("scaled")
    def scaled(logit: Tensor, mask: Tensor, distance: Tensor, weight: Tensor, factor: float) -> Tensor:
        return factor * (logit - mask).abs().mean()

    loss = built(name="scaled", args={"factor": 3})
    one = torch.ones(1, 1, 2, 2)
    assert loss(one, -one, one, one).item() == 6


def test_a_function_by_its_target_trains_a_direct_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "absolute_losses.py").write_text(
        "def absolute(logit, mask, distance, weight, factor):\n return factor * (logit - mask).abs().mean()\n"
    )
    values = {"name": "x", "data": {"sources": {"synthetic": None}, "size": 32}}
    model = {"name": "unet", "widths": [4, 4], "residual_units": 0}
    loss = {"target": "absolute_losses.absolute", "args": {"factor": 3}}
    segmenter = build_segmenter(check_recipe({**values, "model": model, "loss": loss}, "here"))
    mask = torch.ones(2, 1, 32, 32)
    batch = Batch(torch.zeros(2, 3, 32, 32), mask, mask, ["a", "b"], [])
    expected = 3 * F.l1_loss(segmenter.network(batch.image), mask)
    torch.testing.assert_close(segmenter.loss(batch), expected)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"name": "tversy"}, "unknown loss 'tversy'; choose one of region"),
        ({"target": "torch.nn.functional.l3"}, r"loss\.target=.*has no 'l3'"),
        (
            {"target": "torch.nn.functional.silu", "args": {}},
            r"loss torch\.nn\.functional\.silu with args \{\}: ",
        ),
        ({"target": TARGET, "args": {"alpha": 1}}, r"loss\.args=\{'alpha': 1\}: "),
        ({"target": "math.pi"}, r"loss\.target=math\.pi is a float; name a function or a class"),
    ],
)
def test_a_loss_that_cannot_be_built_is_named(keys: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        built(**keys)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"args": {"alpha": 1}}, "args are for another loss"),
        ({"name": "other", "target": TARGET}, "name and target are two losses"),
        ({"target": TARGET, "dice": 0.5}, "dice is for loss region"),
        ({"cross_entropy": 0, "dice": 0}, "are all 0"),
    ],
)
def test_keys_that_no_loss_reads_are_refused(keys: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        LossConfig.model_validate(keys)


def test_an_objective_of_noise_has_no_other_loss() -> None:
    diffusion = {"objective": "epsilon", "training": "single"}
    values = {"name": "x", "data": {"sources": {"synthetic": None}}, "diffusion": diffusion}
    model = {"name": "mlffm_segdiff", "size": "tiny"}
    says = rf"loss\.target={TARGET} has no effect without diffusion\.objective=x0"
    with pytest.raises(UserError, match=says):
        check_recipe(
            {**values, "model": model, "sampling": {"samples": 1}, "loss": {"target": TARGET}}, "here"
        )
