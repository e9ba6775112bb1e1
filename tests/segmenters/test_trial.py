"""Every model learns at every size and batch, or one line says before training why not, with what works."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from small_models import SMALL
from torch import nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.segmenters.assembly import build_segmenter, checked_sampling
from mlffm_segdiff.segmenters.cost import model_recipe
from mlffm_segdiff.segmenters.pretrained import load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import check_recipe
from mlffm_segdiff.segmenters.trial import require_memory, require_trainable
from mlffm_segdiff.training.module import build_optimizer, update_weights

LITE0 = {"encoder": "efficientnet_lite0"}
TRIED: dict[str, dict[str, Any]] = {
    **{name: {**SMALL[name], "name": model_recipe(name).model.name} for name in SMALL},
    "mlffm_segdiff_lite0": {**SMALL["mlffm_segdiff"], "name": "mlffm_segdiff", **LITE0}
    | {"mask_widths": (16, 16), "detail_width": 8},
    "single_path_lite0": {"name": "single_path", "widths": (8, 8, 8, 16, 16), **LITE0},
}


def recipe_of(model: dict[str, Any], size: int, batch: int, **sections: dict[str, Any]) -> Recipe:
    values = {
        "name": "small",
        "data": {"sources": {"folder": "x"}, "size": size},
        "model": model,
        "train": {"batch_size": batch, "encoder_init": None if "encoder" in model else "imagenet"},
    }
    return check_recipe(values | sections, "here")


def batch_of(count: int, size: int) -> Batch:
    mask = torch.ones(count, 1, size, size)
    mask[..., : size // 2] = -1
    return Batch(torch.rand(count, 3, size, size) * 2 - 1, mask, -mask, [""] * count)


def outcome(recipe: Recipe) -> str:
    """Train two steps and segment one image, the last batch of a validation; return the refusal, or "".

    A last training batch of one is no case of its own: training batches are always full.
    """
    torch.manual_seed(0)
    size, batch = recipe.data.size, recipe.train.batch_size
    try:
        segmenter = build_segmenter(recipe)
        require_trainable(segmenter, recipe)
    except UserError as error:
        return str(error)
    optimizer = build_optimizer(segmenter, recipe.train)
    for _ in range(2):
        assert update_weights(segmenter.train(), batch_of(batch, size), optimizer, 1.0).isfinite()
    found = segmenter.eval().segment(batch_of(1, size).image, checked_sampling(recipe.sampling))
    assert found.probability.isfinite().all()
    return ""


def smallest(model: dict[str, Any]) -> int:
    return build_segmenter(recipe_of(model, 96, 2)).total_stride


@pytest.mark.parametrize("name", list(TRIED))
def test_small_sizes_and_batches_work_or_are_refused_with_what_works(name: str) -> None:
    model = TRIED[name]
    for size in sorted({smallest(model), 32, 96}):
        for batch in (1, 2, 3) if size < 96 else (1,):
            refusal = outcome(recipe_of(model, size, batch))
            assert "\n" not in refusal
            assert not (size == 96 and refusal)
            if refusal:
                hint = re.search(r"use (?:(data\.size=)?(\d+)|train\.batch_size=(\d+))$", refusal)
                assert hint, refusal
                better = recipe_of(model, int(hint[2] or size), int(hint[3] or batch))
                assert outcome(better) == "", refusal


@pytest.mark.parametrize("name", list(TRIED))
def test_a_size_that_no_stride_divides_is_refused_with_the_nearest(name: str) -> None:
    model = TRIED[name]
    refusal = outcome(recipe_of(model, 33, 2))
    stride = smallest(model)
    near = int(re.search(r"use (\d+)$", refusal)[1])
    assert near == (64 if name == "swin_unetr" else 32)
    assert near % stride == 0


def test_the_reported_case_names_the_batch() -> None:
    refusal = outcome(recipe_of(TRIED["fpn"] | {"head_width": 64}, 32, 1))
    assert refusal.startswith(
        "fpn cannot be trained with data.size=32 and train.batch_size=1 (ValueError: Expected more"
    )
    assert refusal.endswith("; use train.batch_size=2")


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (
            "(logit - mask).square()",
            r"must be a scalar tensor, .* of shape \(2, 1, 32, 32\); return its mean",
        ),
        ("(logit - mask).square().mean((1, 2, 3))", r"of shape \(2,\); return its mean"),
        ("1.0", "must be a scalar tensor, but is a float"),
        ("logit.mean().detach()", "the loss has no gradient; compute it from the logit"),
        ("logit[9].mean()", r"cannot be trained with this loss \(IndexError: "),
    ],
)
@pytest.mark.parametrize("model", ["unet", "mlffm_segdiff"])
def test_a_loss_that_cannot_train_is_refused_before_training(
    model: str, loss: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"loss_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(f"def made(logit, mask, distance, weight): return {loss}")
    monkeypatch.syspath_prepend(tmp_path)
    refusal = outcome(recipe_of(TRIED[model], 32, 2, loss={"target": f"{name}.made"}))
    assert re.search(says, refusal), refusal


def test_a_network_that_returns_a_list_in_training_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "listed_network.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.head = nn.Conv2d(3, 1, 1)\n"
        "    def forward(self, image):\n"
        "        return [self.head(image)] * 2 if self.training else self.head(image)\n"
    )
    refusal = outcome(recipe_of({"target": "listed_network.Net"}, 32, 2))
    assert "in training mode the network returns a list, not a logit" in refusal


def test_self_conditioning_learns_from_single_images() -> None:
    recipe = recipe_of(TRIED["mlffm_segdiff"], 32, 1, diffusion={"self_conditioning": True})
    assert outcome(recipe) == ""


class OnePixel(nn.Module):
    """A network of the user whose batch normalisation sees one value for each channel of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        pooled = self.norm(self.conv(image).mean((2, 3), keepdim=True))
        return (image * 0 + pooled[:, :1])[:, :1]


def test_a_network_of_the_user_is_tried_too() -> None:
    recipe = recipe_of({"name": "target", "target": f"{__name__}.OnePixel"}, 96, 1)
    segmenter = build_segmenter(recipe_of(TRIED["unet"], 96, 1))
    segmenter.network = OnePixel()
    segmenter.network.total_stride = 1
    with pytest.raises(UserError, match=r"use train\.batch_size=2$"):
        require_trainable(segmenter, recipe)
    require_trainable(segmenter, recipe_of({"name": "target", "target": "x.Y"}, 96, 2))


def test_a_network_that_no_machine_can_train_is_refused() -> None:
    recipe = recipe_of({"name": "fcn", "widths": (8192,) * 5, "head_width": 8192}, 32, 2)
    with pytest.raises(UserError, match=r"^fcn has [\d,]+ million parameters.*; use smaller widths$"):
        require_memory(recipe)
    require_memory(recipe_of(TRIED["fcn"], 32, 2))


def test_every_device_has_a_network_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(TRIED["fcn"], 32, 2)
    parameters = sum(p.numel() for p in build_segmenter(recipe).parameters())
    monkeypatch.setattr("mlffm_segdiff.segmenters.trial.memory_bytes", lambda: 30 * parameters)
    require_memory(recipe)
    train = recipe.train.model_copy(update={"devices": 2})
    with pytest.raises(UserError, match=r"whose training on 2 devices needs"):
        require_memory(recipe.model_copy(update={"train": train}))


def test_a_trial_changes_neither_weights_nor_random_numbers() -> None:
    recipe = recipe_of(TRIED["fpn_lite0"], 64, 1)
    segmenter = build_segmenter(recipe)
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    require_trainable(segmenter, recipe)
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())


class Unusual(nn.Module):
    """A network of the user with what few have: tied weights, a 3D convolution, an infinite buffer."""

    def __init__(
        self, persistent: bool = False, dtype: str = "float32", lowest: float = -float("inf")
    ) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 1, 1)
        self.same = self.head
        self.deep = nn.Conv3d(1, 1, 1)
        self.factor = nn.Parameter(torch.ones(1, dtype=getattr(torch, dtype)))
        self.register_buffer("limit", torch.full((1,), lowest), persistent=persistent)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logit = self.same(image).maximum(self.limit)
        return self.deep(logit[:, None])[:, 0] * self.factor.abs()


def test_unusual_networks_are_trained_and_saved(tmp_path: Path) -> None:
    recipe = recipe_of({"target": f"{__name__}.Unusual"}, 32, 2)
    assert outcome(recipe) == ""
    segmenter = build_segmenter(recipe)
    save_segmenter(segmenter, recipe, tmp_path)
    again = load_pretrained(tmp_path, trust_code=True).segmenter
    state = segmenter.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"persistent": True},
            "the buffer 'network.limit' of the network or loss is not finite or exceeds 1e+06, which saved "
            "weights must not; register it with persistent=False",
        ),
        (
            {"persistent": True, "lowest": -1e9},
            "the buffer 'network.limit' of the network or loss is not finite or exceeds 1e+06, which saved "
            "weights must not; register it with persistent=False",
        ),
        (
            {"dtype": "complex64"},
            "the weights 'network.factor' are complex, which the optimizer cannot train; keep them as real "
            "ones, by torch.view_as_real",
        ),
    ],
)
def test_tensors_that_cannot_be_trained_or_saved_are_refused(options: dict[str, Any], says: str) -> None:
    assert outcome(recipe_of({"target": f"{__name__}.Unusual", "args": options}, 32, 2)) == says


class NotCopied(OnePixel):
    """A network of the user that cannot be copied, as with torch's old weight normalisation."""

    def __deepcopy__(self, memo: object) -> "NotCopied":
        raise RuntimeError("Only Tensors created explicitly by the user support the deepcopy protocol")


def test_a_network_that_cannot_be_copied_is_refused_in_one_line() -> None:
    refusal = outcome(recipe_of({"target": f"{__name__}.NotCopied"}, 32, 2))
    assert "(RuntimeError: Only Tensors created explicitly by the user" in refusal
