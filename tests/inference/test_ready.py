"""What `load_model` does to a network so that it segments faster."""

import copy
from pathlib import Path

import pytest
import torch
from stand_ins import StandIn
from torch import Tensor, nn

from mlffm_segdiff.config.schema import Precision, Recipe, SamplingConfig
from mlffm_segdiff.inference import model as inference
from mlffm_segdiff.inference.model import load_model, measured_precision
from mlffm_segdiff.segmenters import precision as formats
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import Segmentation
from mlffm_segdiff.segmenters.packing import PackedConvolution, can_pack
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import check_recipe, load_recipe

CPU = torch.device("cpu")
WITH_BATCH_NORM = (
    "isic2018",
    ["data.size=64", "model.mask_widths=[8, 16]", "model.detail_width=4", "model.fusion_width=4"],
)
RECIPES = {
    "batch norm": WITH_BATCH_NORM,
    "tiny": ("isic2018", ["data.size=32", "model.size=tiny"]),
    "unet": ("unet", ["data.size=32", "model.widths=[4, 8]"]),
    "self-conditioning": (
        "isic2018",
        ["data.size=32", "model.size=tiny", "diffusion.self_conditioning=true"],
    ),
}


def pretrained(name: str, changes: list[str]) -> Pretrained:
    """Weights moved from where they start; statistics of batch norms too."""
    return moved(load_recipe(name, changes))


def moved(recipe: Recipe) -> Pretrained:
    made = Pretrained(recipe=recipe.model_dump(mode="json"))
    averages = [value for name, value in made.segmenter.named_buffers() if "running" in name]
    for tensor in (*made.segmenter.parameters(), *averages):
        tensor.data.mul_(1 + 0.1 * torch.rand_like(tensor)).add_(0.01 * torch.rand_like(tensor))
    return made.eval()


def images(size: int) -> Tensor:
    return torch.rand(3, 3, size, size) * 2 - 1


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_loaded_model_finds_what_its_segmenter_does(recipe: tuple[str, list[str]]) -> None:
    weights = pretrained(*recipe)
    before = copy.deepcopy(weights.segmenter.state_dict())
    model = load_model(weights, device=CPU)
    image = images(model.size)
    found = model.segmenter.segment(image, model.sampling).probability
    expected = weights.segmenter.segment(image, model.sampling).probability
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-5)
    assert all(torch.equal(value, before[name]) for name, value in weights.segmenter.state_dict().items())


class Reused(nn.Module):
    """A network of the user that uses a layer in two places, in one of the ways of ``how``."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        act = nn.ReLU6()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), act)
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6())
        if how == "activation":
            self.act = act
        if how == "convolution":
            self.again = nn.Sequential(self.second[0], nn.BatchNorm2d(8), nn.ReLU6())
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        h = self.first(image)
        if self.how == "activation":
            h = self.act(4 * (h - 1))
        if self.how == "convolution":
            h = h + self.again(h)
        if self.how == "single layers":
            h = h + self.second[0](h)
        if self.how == "attribute":
            h = h[:, :, :: self.second[0].stride[0]]
        if self.how == "weight":
            h = h + torch.nn.functional.conv2d(h, self.second[0].weight, padding=1)
        return 10 * self.head(self.second(h))


@pytest.mark.parametrize("how", ["activation", "convolution", "single layers", "attribute", "weight"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_network_that_uses_layers_twice_computes_what_it_did(how: str, precision: Precision) -> None:
    torch.manual_seed(2)
    model = {"target": f"{__name__}.Reused", "args": {"how": how}}
    weights = moved(
        check_recipe(
            {"name": "own", "data": {"sources": {"folder": None}, "size": 32}, "model": model}, "own"
        )
    )
    loaded = load_model(weights, precision, CPU)
    image = images(32)
    expected = weights.segmenter.segment(image, loaded.sampling).probability
    found = loaded.segmenter.segment(image, loaded.sampling).probability
    assert expected.std() > 0.01
    limit = 5e-5 if precision == "float32" else 0.02
    torch.testing.assert_close(found, expected, rtol=0, atol=limit)


def test_batch_norm_and_padding_are_gone_from_the_loaded_model_only() -> None:
    weights = pretrained(*WITH_BATCH_NORM)
    model = load_model(weights, device=CPU)
    kinds = {type(module) for module in model.segmenter.modules()}
    assert not kinds & {nn.BatchNorm2d, nn.ZeroPad2d}
    assert not can_pack() or PackedConvolution in kinds
    left = {type(module) for module in weights.segmenter.modules()}
    assert {nn.BatchNorm2d, nn.ZeroPad2d} <= left
    assert PackedConvolution not in left


def test_weights_are_saved_as_they_were_loaded(tmp_path: Path) -> None:
    recipe = load_recipe(*WITH_BATCH_NORM)
    save_segmenter(build_segmenter(recipe), recipe, tmp_path / "first")
    weights = load_pretrained(tmp_path / "first")
    load_model(weights, device=CPU)
    save_segmenter(weights.segmenter, recipe, tmp_path / "second")
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "second"))
    assert one == other


class Timed(StandIn):
    """Segments by moving a clock."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        Clock.now += self.seconds * len(image)
        return Segmentation(image[:, :1], image[:, :1])


class Clock:
    now = 0.0


@pytest.mark.parametrize(("bf16", "expected"), [(0.05, "bf16"), (0.095, "float32"), (0.2, "float32")])
def test_auto_is_what_the_weights_segment_faster_in(
    bf16: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "has_bf16", lambda device: True)
    monkeypatch.setattr(inference, "in_bfloat16", lambda segmenter, image: Timed(bf16))
    found = measured_precision(Timed(0.1), images(8), SamplingConfig(), lambda: Clock.now)
    assert found == expected


@pytest.mark.parametrize("chosen", ["float32", "bf16"])
def test_the_model_computes_in_the_chosen_format(chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    monkeypatch.setattr(
        inference, "measured_precision", lambda _, image, sampling: sizes.append(len(image)) or chosen
    )
    model = load_model(pretrained(*RECIPES["tiny"]), precision="auto", device=CPU, batch_size=5)
    assert (model.precision, sizes) == (chosen, [5])
    dtype = torch.float32 if chosen == "float32" else torch.bfloat16
    assert {p.dtype for p in model.segmenter.parameters()} == {dtype}
    assert model.segmenter.segment(images(32), model.sampling).probability.isfinite().all()
