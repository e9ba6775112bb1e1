"""Networks: MLFFM-SegDiff, its fusion module, and every network that it is compared with.

    from mlffm_segdiff.models import EncoderUNet, EfficientNetLite
    network = EncoderUNet(EfficientNetLite("efficientnet_lite0"), decoder_widths=(160, 96, 64, 32))

Denoisers have ``encode(image)`` and ``denoise(noisy_mask, t, features)``, direct networks ``forward(image)``;
all have ``total_stride``, which must divide the height and width of images. `register_model` adds a model to
`MODELS`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlffm_segdiff.config.model_config import ModelConfig as ModelConfig
    from mlffm_segdiff.models.baselines.attention_unet import AttentionUNet as AttentionUNet
    from mlffm_segdiff.models.baselines.dermosegdiff import DermoSegDiff as DermoSegDiff
    from mlffm_segdiff.models.baselines.diffusion_unet import DiffusionUNet as DiffusionUNet
    from mlffm_segdiff.models.baselines.fcn import FCN as FCN
    from mlffm_segdiff.models.baselines.fpn import FPN as FPN
    from mlffm_segdiff.models.baselines.medsegdiff import MedSegDiff as MedSegDiff
    from mlffm_segdiff.models.baselines.mlffm_unet import MLFFMUNet as MLFFMUNet
    from mlffm_segdiff.models.baselines.nnunet import NNUNet as NNUNet
    from mlffm_segdiff.models.baselines.segdiff import SegDiff as SegDiff
    from mlffm_segdiff.models.baselines.single_path import SinglePath as SinglePath
    from mlffm_segdiff.models.baselines.swin_unetr import SwinUNETR as SwinUNETR
    from mlffm_segdiff.models.baselines.transunet import TransUNet as TransUNet
    from mlffm_segdiff.models.baselines.unet import EncoderUNet as EncoderUNet
    from mlffm_segdiff.models.baselines.unet import UNet as UNet
    from mlffm_segdiff.models.baselines.unetpp import EncoderUNetPlusPlus as EncoderUNetPlusPlus
    from mlffm_segdiff.models.baselines.unetpp import UNetPlusPlus as UNetPlusPlus
    from mlffm_segdiff.models.baselines.unetr import UNETR as UNETR
    from mlffm_segdiff.models.encoders import EfficientNetLite as EfficientNetLite
    from mlffm_segdiff.models.encoders import ResNetEncoder as ResNetEncoder
    from mlffm_segdiff.models.encoders import ScratchEncoder as ScratchEncoder
    from mlffm_segdiff.models.mlffm import MLFFM as MLFFM
    from mlffm_segdiff.models.mlffm_segdiff import MLFFMSegDiff as MLFFMSegDiff
    from mlffm_segdiff.models.registry import MODELS as MODELS
    from mlffm_segdiff.models.registry import register_model as register_model

_HOMES = {
    "MLFFM": "models.mlffm",
    "MLFFMSegDiff": "models.mlffm_segdiff",
    "MODELS": "models.registry",
    "ModelConfig": "config.model_config",
    "register_model": "models.registry",
    **dict.fromkeys(("EfficientNetLite", "ResNetEncoder", "ScratchEncoder"), "models.encoders"),
    "AttentionUNet": "models.baselines.attention_unet",
    "DermoSegDiff": "models.baselines.dermosegdiff",
    "DiffusionUNet": "models.baselines.diffusion_unet",
    "EncoderUNet": "models.baselines.unet",
    "EncoderUNetPlusPlus": "models.baselines.unetpp",
    "FCN": "models.baselines.fcn",
    "FPN": "models.baselines.fpn",
    "MLFFMUNet": "models.baselines.mlffm_unet",
    "MedSegDiff": "models.baselines.medsegdiff",
    "NNUNet": "models.baselines.nnunet",
    "SegDiff": "models.baselines.segdiff",
    "SinglePath": "models.baselines.single_path",
    "SwinUNETR": "models.baselines.swin_unetr",
    "TransUNet": "models.baselines.transunet",
    "UNETR": "models.baselines.unetr",
    "UNet": "models.baselines.unet",
    "UNetPlusPlus": "models.baselines.unetpp",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a network on first access (PEP 562), since importing all of them takes seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"mlffm_segdiff.{_HOMES[name]}"), name)
    return found
