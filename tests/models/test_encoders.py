from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.models.encoder_weights import imagenet_file, imagenet_weights
from mlffm_segdiff.models.encoders import (
    BATCH_NORM_EPS,
    EfficientNetLite,
    LiteName,
    ScratchEncoder,
    pretrained_encoder,
    scaled_stages,
)
from mlffm_segdiff.segmenters.recipe import check_recipe

NAMES: tuple[LiteName, ...] = get_args(LiteName)
WIDTHS = {
    "efficientnet_lite0": (16, 24, 40, 112, 320),
    "efficientnet_lite1": (16, 24, 40, 112, 320),
    "efficientnet_lite2": (16, 24, 48, 120, 352),
}
"""Channels at strides 2, 4, 8, 16 and 32."""


def classify(features: Tensor, state: dict[str, Tensor]) -> Tensor:
    """Return the logits of ImageNet's classes: head convolution, norm, mean and classifier."""
    h = F.conv2d(features, state["_conv_head.weight"])
    mean, variance = state["_bn1.running_mean"], state["_bn1.running_var"]
    h = F.batch_norm(h, mean, variance, state["_bn1.weight"], state["_bn1.bias"], eps=BATCH_NORM_EPS)
    return F.linear(F.relu6(h).mean(dim=(2, 3)), state["_fc.weight"], state["_fc.bias"])


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_those_of_efficientnet_lite_pytorch(name: LiteName) -> None:
    """In double precision but for its rounding. Theirs pads for the image size that it is built for."""
    theirs = EfficientNet.from_name(name.replace("_", "-"), image_size=[128, 96]).eval()
    theirs.load_state_dict(torch.load(imagenet_file(name), weights_only=True))
    ours = EfficientNetLite(name).eval()
    ours.load_state_dict(imagenet_weights(name))
    image = torch.rand(2, 3, 128, 96, generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    with torch.no_grad():
        expected = theirs.double()(image)
        found = classify(ours.double()(image)[-1], theirs.state_dict())
    assert expected.shape == (2, 1000)
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_features_at_strides_2_to_32(name: LiteName) -> None:
    encoder = EfficientNetLite(name)
    assert encoder.widths == WIDTHS[name]
    shapes = [tuple(feature.shape) for feature in encoder(torch.randn(2, 3, 64, 96))]
    assert shapes == [(2, width, 64 >> n, 96 >> n) for n, width in enumerate(WIDTHS[name], start=1)]


@pytest.mark.parametrize(
    ("name", "repeats", "widths"),
    [
        ("efficientnet_lite0", (1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
        ("efficientnet_lite1", (1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
        ("efficientnet_lite2", (1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
    ],
)
def test_depths_are_rounded_up_and_widths_to_eights(
    name: LiteName, repeats: tuple[int, ...], widths: tuple[int, ...]
) -> None:
    stages = scaled_stages(name)
    assert tuple(stage.repeats for stage in stages) == repeats
    assert tuple(stage.width for stage in stages) == widths
    assert [len(stage) for stage in EfficientNetLite(name).stages] == list(repeats)


def test_the_encoder_from_scratch_halves_level_by_level() -> None:
    encoder = ScratchEncoder((8, 16, 24), (1, 2, 1))
    assert isinstance(encoder, ScratchEncoder)
    assert encoder.widths == (8, 16, 24)
    shapes = [tuple(feature.shape) for feature in encoder(torch.randn(2, 3, 16, 24))]
    assert shapes == [(2, 8, 8, 12), (2, 16, 4, 6), (2, 24, 2, 3)]
    assert [len(level) for level in encoder.levels] == [1, 2, 1]


def test_the_pretrained_encoder_of_a_segmenter() -> None:
    segmenter, network = nn.Module(), nn.Module()
    assert pretrained_encoder(segmenter) is None
    segmenter.network = network
    assert pretrained_encoder(segmenter) is None
    network.encoder = ScratchEncoder((8,), (1,))
    assert pretrained_encoder(segmenter) is None
    network.encoder = EfficientNetLite("efficientnet_lite0")
    assert pretrained_encoder(segmenter) is network.encoder


def section(**model: object) -> ModelConfig:
    return check_recipe({"name": "x", "data": {"sources": {"synthetic": None}}, "model": model}, "here").model


@pytest.mark.parametrize("model", ["unet", "mlffm_unet", "unetpp", "fpn"])
def test_a_direct_model_with_an_encoder_refuses_options_of_its_own_network(model: str) -> None:
    keys: dict[str, object] = {"name": model, "encoder": "efficientnet_lite1"}
    assert section(**section(**keys).model_dump(mode="json")) == section(**keys)
    levels = [4, 8, 8, 8, 8] if model == "unetpp" else [4, 8, 8, 8]
    with pytest.raises(UserError, match="widths has no effect with encoder efficientnet_lite1; leave"):
        section(**keys, widths=levels)


@pytest.mark.parametrize("model", ["unet", "mlffm_unet", "unetpp"])
def test_decoder_widths_need_an_encoder(model: str) -> None:
    assert section(**section(name=model).model_dump(mode="json")) == section(name=model)
    with pytest.raises(UserError, match="decoder_widths needs an encoder; leave it out"):
        section(name=model, decoder_widths=[8, 8, 8, 8])
