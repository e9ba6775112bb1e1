import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.cost import count_cost
from mlffm_segdiff.segmenters.direct import DirectSegmenter
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import check_recipe
from mlffm_segdiff.segmenters.saved_weights import TRUST_CODE

CONV = {"target": "torch.nn.Conv2d", "args": {"in_channels": 3, "out_channels": 1, "kernel_size": 1}}


def recipe(model: dict[str, object], **sections: dict[str, object]) -> Recipe:
    data = {"sources": {"synthetic": None}, "size": 32}
    return check_recipe({"name": "x", "data": data, "model": model, **sections}, "here")


def test_every_model_is_of_the_contract_and_has_a_source() -> None:
    assert len(MODELS) == 16
    for name, section in MODELS.items():
        assert section.contract in {"denoiser", "direct"}, name
        assert section.citation, name
        assert section.__module__.rpartition(".")[2] == name, "a second registration of the name is refused"
        assert section.__module__.rpartition(".")[2] == name, "a second registration of the name is refused"


def test_any_module_is_a_direct_network_by_its_target() -> None:
    segmenter = build_segmenter(recipe(CONV))
    assert isinstance(segmenter, DirectSegmenter)
    assert isinstance(segmenter.network, nn.Conv2d)
    assert segmenter.total_stride == 1
    assert count_cost(recipe(CONV)).parameters == 4


def test_the_stride_of_a_target_is_that_of_the_recipe_unless_it_has_one() -> None:
    assert build_segmenter(recipe({**CONV, "stride": 16})).total_stride == 16
    own = {
        "target": "mlffm_segdiff.models.baselines.unet.UNet",
        "args": {"widths": [4, 4], "residual_units": 0},
    }
    assert build_segmenter(recipe({**own, "stride": 8})).total_stride == 2


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"target": "no_such_package.Net"}, "no module 'no_such_package'; install its package"),
        ({"target": "torch.nn.Conv3"}, "module 'torch.nn' has no 'Conv3'"),
        ({"target": "torch.nn.Conv2d"}, r"model\.args=\{\}: .*missing 3 required"),
        ({"target": "pathlib.Path"}, "does not build a torch.nn.Module"),
        ({"target": "torch.nn.BatchNorm1d", "args": {"num_features": 3}}, r"cannot segment .*\(ValueError: "),
        (
            {**CONV, "args": {**CONV["args"], "out_channels": 2}},
            r"a logit of 1x1x32x32, not \(1, 2, 32, 32\)",
        ),
        ({**CONV, "args": {**CONV["args"], "in_channels": 4}}, "cannot segment an image of 1x3x32x32"),
        ({**CONV, "stride": 5}, r"data\.size=32 is not a multiple of 5"),
        ({**CONV, "width": 3}, r"unknown key 'model\.width'"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused(model: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        build_segmenter(recipe(model))


@pytest.mark.parametrize("section", ["model", "loss"])
def test_weights_run_code_only_if_it_is_trusted(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = {"target": "mlffm_segdiff.losses.region.RegionLoss"} if section == "loss" else {}
    unet = {"name": "unet", "widths": [4, 4], "residual_units": 0}
    chosen = recipe(CONV if section == "model" else unet, loss=loss)
    segmenter = build_segmenter(chosen)
    save_segmenter(segmenter, chosen, tmp_path)
    target = CONV["target"] if section == "model" else loss["target"]
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "trust_code": True}))  # the file has no say
    for load in (load_pretrained, Pretrained.from_pretrained):
        with pytest.raises(UserError, match=f"import and run {target}; if you trust them, .*trust_code=True"):
            load(tmp_path)
        state = load(tmp_path, trust_code=True).segmenter.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in segmenter.state_dict().items())
    monkeypatch.setenv(TRUST_CODE, "1")
    assert load_pretrained(tmp_path).recipe == chosen
