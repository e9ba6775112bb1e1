"""Networks: MLFFM-SegDiff, its fusion module, and every network that it is compared with.

    from mlffm_segdiff.models import EncoderUNet, EfficientNetLite
    network = EncoderUNet(EfficientNetLite("efficientnet_lite0"), decoder_widths=(160, 96, 64, 32))

Denoisers have ``encode(image)`` and ``denoise(noisy_mask, t, features)``, direct networks ``forward(image)``;
all have ``total_stride``, which must divide the height and width of images. `register_model` adds a model to
`MODELS`.
"""

from typing import TYPE_CHECKING

from mlffm_segdiff.config.lazy import lazy_exports

if TYPE_CHECKING:
    from mlffm_segdiff.config.model_config import ModelConfig
    from mlffm_segdiff.models.baselines.attention_unet import AttentionUNet
    from mlffm_segdiff.models.baselines.dermosegdiff import DermoSegDiff
    from mlffm_segdiff.models.baselines.diffusion_unet import DiffusionUNet
    from mlffm_segdiff.models.baselines.fcn import FCN
    from mlffm_segdiff.models.baselines.fpn import FPN, ResNetEncoder
    from mlffm_segdiff.models.baselines.medsegdiff import MedSegDiff
    from mlffm_segdiff.models.baselines.mlffm_unet import MLFFMUNet
    from mlffm_segdiff.models.baselines.nnunet import NNUNet
    from mlffm_segdiff.models.baselines.segdiff import SegDiff
    from mlffm_segdiff.models.baselines.single_path import SinglePath
    from mlffm_segdiff.models.baselines.swin_unetr import SwinUNETR
    from mlffm_segdiff.models.baselines.transunet import TransUNet
    from mlffm_segdiff.models.baselines.unet import EncoderUNet, UNet
    from mlffm_segdiff.models.baselines.unetpp import EncoderUNetPlusPlus, UNetPlusPlus
    from mlffm_segdiff.models.baselines.unetr import UNETR
    from mlffm_segdiff.models.encoders import EfficientNetLite, ScratchEncoder
    from mlffm_segdiff.models.mlffm import MLFFM
    from mlffm_segdiff.models.mlffm_segdiff import MLFFMSegDiff
    from mlffm_segdiff.models.registry import MODELS, register_model

__all__ = [
    "FCN",
    "FPN",
    "MLFFM",
    "MODELS",
    "UNETR",
    "AttentionUNet",
    "DermoSegDiff",
    "DiffusionUNet",
    "EfficientNetLite",
    "EncoderUNet",
    "EncoderUNetPlusPlus",
    "MLFFMSegDiff",
    "MLFFMUNet",
    "MedSegDiff",
    "ModelConfig",
    "NNUNet",
    "ResNetEncoder",
    "ScratchEncoder",
    "SegDiff",
    "SinglePath",
    "SwinUNETR",
    "TransUNet",
    "UNet",
    "UNetPlusPlus",
    "register_model",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "baselines.attention_unet": "AttentionUNet",
        "baselines.dermosegdiff": "DermoSegDiff",
        "baselines.diffusion_unet": "DiffusionUNet",
        "baselines.fcn": "FCN",
        "baselines.fpn": "FPN ResNetEncoder",
        "baselines.medsegdiff": "MedSegDiff",
        "baselines.mlffm_unet": "MLFFMUNet",
        "baselines.nnunet": "NNUNet",
        "baselines.segdiff": "SegDiff",
        "baselines.single_path": "SinglePath",
        "baselines.swin_unetr": "SwinUNETR",
        "baselines.transunet": "TransUNet",
        "baselines.unet": "EncoderUNet UNet",
        "baselines.unetpp": "EncoderUNetPlusPlus UNetPlusPlus",
        "baselines.unetr": "UNETR",
        "encoders": "EfficientNetLite ScratchEncoder",
        "mlffm": "MLFFM",
        "mlffm_segdiff": "MLFFMSegDiff",
        "registry": "MODELS ModelConfig register_model",
    },
)
