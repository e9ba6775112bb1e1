"""The table of models: a recipe's section becomes a network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import nn

from mlffm_segdiff.config.schema import ModelConfig
from mlffm_segdiff.models.baselines.attention_unet import AttentionUNet, AttentionUNetConfig
from mlffm_segdiff.models.baselines.dermosegdiff import DermoSegDiff, DermoSegDiffConfig
from mlffm_segdiff.models.baselines.diffusion_unet import DiffusionUNet, DiffusionUNetConfig
from mlffm_segdiff.models.baselines.fcn import FCN, FCNConfig
from mlffm_segdiff.models.baselines.fpn import FPN, FPNConfig, ResNetEncoder
from mlffm_segdiff.models.baselines.medsegdiff import MedSegDiff, MedSegDiffConfig
from mlffm_segdiff.models.baselines.mlffm_unet import MLFFMUNet, MLFFMUNetConfig
from mlffm_segdiff.models.baselines.nnunet import NNUNet, NNUNetConfig
from mlffm_segdiff.models.baselines.nnunet_plan import plan_network
from mlffm_segdiff.models.baselines.segdiff import SegDiff, SegDiffConfig
from mlffm_segdiff.models.baselines.single_path import SinglePath, SinglePathConfig
from mlffm_segdiff.models.baselines.swin_unetr import SwinUNETR, SwinUNETRConfig
from mlffm_segdiff.models.baselines.transunet import TransUNet, TransUNetConfig
from mlffm_segdiff.models.baselines.unet import EncoderUNet, UNet, UNetConfig
from mlffm_segdiff.models.baselines.unetpp import EncoderUNetPlusPlus, UNetPlusPlus, UNetPlusPlusConfig
from mlffm_segdiff.models.baselines.unetr import UNETR, UNETRConfig
from mlffm_segdiff.models.encoders import EfficientNetLite, make_encoder
from mlffm_segdiff.models.mlffm import MLFFM
from mlffm_segdiff.models.mlffm_segdiff import MLFFMSegDiff, MLFFMSegDiffConfig

UNET_HEAD = "unet.out.2.conv"
"""The last convolution of MONAI's diffusion U-Net."""


@dataclass(frozen=True)
class ModelEntry:
    """One model. section: its part of a recipe. citation: where it comes from.

    contract: what ``make`` returns, a denoiser or a direct network; both have ``total_stride``. make: gets
    the section, and the channels of a denoiser's noisy mask (2 with self-conditioning, else 1). head: the
    name of a denoiser's last convolution, which a learned variance doubles; None if it cannot be doubled.
    """

    section: type[ModelConfig]
    contract: Literal["denoiser", "direct"]
    make: Callable[[Any, int], nn.Module]
    citation: str
    head: str | None = None


def make_mlffm_segdiff(section: MLFFMSegDiffConfig, mask_channels: int) -> MLFFMSegDiff:
    """Return the denoiser of MLFFM-SegDiff, with its MLFFM unless fusion_width is null."""
    fusion = make_fusion(section.mask_widths, section)
    return MLFFMSegDiff(
        make_encoder(section.encoder, section.encoder_widths, section.encoder_blocks),
        section.mask_widths,
        section.detail_width,
        fusion,
        mask_channels,
        section.interaction == "gated",
        section.styles,
    )


def make_fusion(
    widths: Sequence[int], section: MLFFMSegDiffConfig | SinglePathConfig | MLFFMUNetConfig
) -> MLFFM | None:
    """Return the MLFFM over skips of these widths, None where fusion_width is null."""
    if section.fusion_width is None:
        return None
    return MLFFM(widths, section.fusion_width, section.attention, section.alignment, section.adaptive)


def make_single_path(section: SinglePathConfig, mask_channels: int) -> SinglePath:
    """Return the denoiser with one path."""
    fusion = make_fusion(section.widths, section)
    return SinglePath(section.widths, section.blocks, section.stride, fusion, mask_channels)


def make_dermosegdiff(section: DermoSegDiffConfig, mask_channels: int) -> DermoSegDiff:
    """Return DermoSegDiff's denoiser."""
    return DermoSegDiff(
        section.dim_x,
        section.dim_g,
        section.x_mults,
        section.g_mults,
        section.groups,
        section.head_width,
        mask_channels,
    )


def make_segdiff(section: SegDiffConfig, mask_channels: int) -> SegDiff:
    """Return SegDiff's denoiser."""
    return SegDiff(
        section.widths,
        section.attention,
        section.blocks,
        section.heads,
        section.rrdb_blocks,
        section.rrdb_width,
        mask_channels,
        section.groups,
    )


def make_medsegdiff(section: MedSegDiffConfig, mask_channels: int) -> MedSegDiff:
    """Return MedSegDiff's denoiser."""
    return MedSegDiff(
        section.widths,
        section.attention,
        section.blocks,
        section.heads,
        section.spectrum_size,
        mask_channels,
        section.groups,
    )


def make_diffusion_unet(section: DiffusionUNetConfig, mask_channels: int) -> DiffusionUNet:
    """Return the diffusion U-Net."""
    return DiffusionUNet(
        section.widths,
        section.attention,
        section.blocks,
        section.head_width,
        mask_channels,
        section.groups,
    )


def make_unet(section: UNetConfig, _mask_channels: int) -> UNet | EncoderUNet:
    """Return the U-Net, on an encoder if the section names one."""
    if section.encoder is not None:
        return EncoderUNet(EfficientNetLite(section.encoder), section.decoder_widths)
    return UNet(section.widths, section.residual_units)


def make_mlffm_unet(section: MLFFMUNetConfig, _mask_channels: int) -> MLFFMUNet | EncoderUNet:
    """Return the U-Net with the MLFFM on its skips, on an encoder if the section names one."""
    if section.encoder is not None:
        encoder = EfficientNetLite(section.encoder)
        return EncoderUNet(encoder, section.decoder_widths, make_fusion(encoder.widths, section))
    return MLFFMUNet(section.widths, section.residual_units, make_fusion(section.widths, section))


def make_attention_unet(section: AttentionUNetConfig, _mask_channels: int) -> AttentionUNet:
    """Return the Attention U-Net."""
    return AttentionUNet(section.widths)


def make_unetpp(section: UNetPlusPlusConfig, _mask_channels: int) -> UNetPlusPlus | EncoderUNetPlusPlus:
    """Return UNet++, on an encoder if the section names one."""
    if section.encoder is not None:
        return EncoderUNetPlusPlus(EfficientNetLite(section.encoder), section.decoder_widths)
    return UNetPlusPlus(section.widths)


def make_swin_unetr(section: SwinUNETRConfig, _mask_channels: int) -> SwinUNETR:
    """Return Swin UNETR."""
    return SwinUNETR(section.feature_size)


def make_unetr(section: UNETRConfig, _mask_channels: int) -> UNETR:
    """Return UNETR."""
    return UNETR(
        section.image_size, section.feature_size, section.hidden_size, section.mlp_size, section.heads
    )


def make_nnunet(section: NNUNetConfig, _mask_channels: int) -> NNUNet:
    """Return the network that nnU-Net plans for square images of that side."""
    plan = plan_network(section.image_size, section.image_size)
    return NNUNet(plan.features, plan.strides)


def make_transunet(section: TransUNetConfig, _mask_channels: int) -> TransUNet:
    """Return TransUNet."""
    return TransUNet(
        section.stem_width,
        section.blocks,
        section.token_width,
        section.layers,
        section.heads,
        section.decoder_widths,
        section.grid,
        section.dropout,
    )


def make_fcn(section: FCNConfig, _mask_channels: int) -> FCN:
    """Return FCN-8s."""
    return FCN(section.widths, section.convolutions, section.head_width, section.dropout, section.normalise)


def make_fpn(section: FPNConfig, _mask_channels: int) -> FPN:
    """Return the feature pyramid network, on ResNet unless the section names an encoder."""
    if section.encoder is not None:
        return FPN(EfficientNetLite(section.encoder), section.pyramid_width, section.head_width)
    return FPN(ResNetEncoder(section.widths, section.blocks), section.pyramid_width, section.head_width)


def by_name(*entries: ModelEntry) -> Mapping[str, ModelEntry]:
    """Return the entries by the name that their section fixes."""
    return {get_args(entry.section.model_fields["name"].annotation)[0]: entry for entry in entries}


MODELS: Mapping[str, ModelEntry] = by_name(
    ModelEntry(
        MLFFMSegDiffConfig, "denoiser", make_mlffm_segdiff, "Gu et al. 2026, arXiv:2606.26712", "head"
    ),
    ModelEntry(SinglePathConfig, "denoiser", make_single_path, "ours: MLFFM-SegDiff with one path", "head"),
    ModelEntry(
        DermoSegDiffConfig, "denoiser", make_dermosegdiff, "Bozorgpour et al. 2023, arXiv:2308.02959", "noise"
    ),
    ModelEntry(SegDiffConfig, "denoiser", make_segdiff, "Amit et al. 2021, arXiv:2112.00390", UNET_HEAD),
    ModelEntry(MedSegDiffConfig, "denoiser", make_medsegdiff, "Wu et al. 2022, arXiv:2211.00611", UNET_HEAD),
    ModelEntry(
        DiffusionUNetConfig, "denoiser", make_diffusion_unet, "Ho et al. 2020, arXiv:2006.11239", UNET_HEAD
    ),
    ModelEntry(MLFFMUNetConfig, "direct", make_mlffm_unet, "ours: the MLFFM without diffusion"),
    ModelEntry(UNetConfig, "direct", make_unet, "Ronneberger et al. 2015, arXiv:1505.04597"),
    ModelEntry(AttentionUNetConfig, "direct", make_attention_unet, "Oktay et al. 2018, arXiv:1804.03999"),
    ModelEntry(UNetPlusPlusConfig, "direct", make_unetpp, "Zhou et al. 2018, arXiv:1807.10165"),
    ModelEntry(NNUNetConfig, "direct", make_nnunet, "Isensee et al. 2021, doi:10.1038/s41592-020-01008-z"),
    ModelEntry(SwinUNETRConfig, "direct", make_swin_unetr, "Hatamizadeh et al. 2022, arXiv:2201.01266"),
    ModelEntry(UNETRConfig, "direct", make_unetr, "Hatamizadeh et al. 2022, arXiv:2103.10504"),
    ModelEntry(TransUNetConfig, "direct", make_transunet, "Chen et al. 2021, arXiv:2102.04306"),
    ModelEntry(FCNConfig, "direct", make_fcn, "Long et al. 2015, arXiv:1411.4038"),
    ModelEntry(FPNConfig, "direct", make_fpn, "Lin et al. 2017, arXiv:1612.03144"),
)
