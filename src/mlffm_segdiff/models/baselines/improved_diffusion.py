"""The U-Net of improved diffusion (Nichol & Dhariwal 2021, arXiv:2102.09672), which several denoisers use."""

from collections.abc import Sequence
from typing import Annotated

from monai.networks.nets import DiffusionModelUNet
from monai.networks.nets.diffusion_model_unet import get_down_block, get_timestep_embedding
from pydantic import Field, model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import Depth, Width

GROUPS = 32
NORM_EPS = 1e-5


class ImprovedDiffusionUNet(DiffusionModelUNet):
    """MONAI's network in parts, for denoisers that add the image's features between them.

    The parts are ``conv_in`` (the stem), ``down_blocks`` (one for each level), and the methods below. With
    one channel per group, the normalisations would remove what the time embedding adds to each channel.

    Args:
        widths: Channels of each level, finest first, multiples of ``groups`` and of ``heads``.
        attention: Which levels have attention among all their pixels; the middle always has.
        blocks: Residual blocks of each level.
        heads: Heads of the attention.
        channels_in: Channels of the input.
        groups: Groups of the normalisations.
    """

    def __init__(
        self,
        widths: Sequence[int],
        attention: Sequence[bool],
        blocks: int,
        heads: int,
        channels_in: int,
        groups: int = GROUPS,
    ) -> None:
        super().__init__(
            spatial_dims=2,
            in_channels=channels_in,
            out_channels=1,
            num_res_blocks=blocks,
            channels=tuple(widths),
            attention_levels=tuple(attention),
            norm_num_groups=groups,
            norm_eps=NORM_EPS,
            num_head_channels=tuple(width // heads for width in widths),
            use_flash_attention=True,
        )
        self.total_stride = 2 ** (len(widths) - 1)

    def embed(self, t: Tensor) -> Tensor:
        """Map timesteps (B) to embeddings (B x 4 widths[0])."""
        weight = self.time_embed[0].weight
        time: Tensor = self.time_embed(get_timestep_embedding(t, weight.shape[1]).to(weight.dtype))
        return time

    def from_stem(self, h: Tensor, time: Tensor) -> Tensor:
        """Map the stem's output (B widths[0] H W) and the time embedding to B1HW."""
        skips = [h]
        for level in self.down_blocks:
            h, found = level(hidden_states=h, temb=time)
            skips += found
        return self.decode(h, skips, time)

    def decode(self, h: Tensor, skips: Sequence[Tensor], time: Tensor) -> Tensor:
        """Decode the coarsest level and the skips.

        Args:
            h: The coarsest features, B C H W.
            skips: The stem's output and the further outputs of each level, in the order they were computed.
            time: The time embedding.

        Returns:
            B1HW.
        """
        left = list(skips)
        h = self.middle_block(hidden_states=h, temb=time)
        for level in self.up_blocks:
            count = len(level.resnets)
            h = level(hidden_states=h, res_hidden_states_list=left[-count:], temb=time)
            del left[-count:]
        out: Tensor = self.out(h)
        return out


def encoder_stage(
    channels_in: int, channels_out: int, time_width: int, blocks: int, heads: int, groups: int
) -> nn.Module:
    """Build one level of the U-Net's encoder, without the downsampling to the next level.

    It maps ``hidden_states`` (B channels_in H W) and ``temb`` (B x time_width) to B channels_out H W and the
    outputs of its ``blocks`` residual blocks. With ``heads`` above 0, attention follows each block.
    """
    stage: nn.Module = get_down_block(
        spatial_dims=2,
        in_channels=channels_in,
        out_channels=channels_out,
        temb_channels=time_width,
        num_res_blocks=blocks,
        norm_num_groups=groups,
        norm_eps=NORM_EPS,
        add_downsample=False,
        resblock_updown=False,
        with_attn=heads > 0,
        with_cross_attn=False,
        num_head_channels=channels_out // heads if heads else 1,
        transformer_num_layers=1,
        cross_attention_dim=None,
        use_flash_attention=True,
    )
    return stage


Widths = Annotated[tuple[Width, ...], Field(min_length=2, max_length=10)]


class ImprovedDiffusionConfig(ModelConfig):
    """The common keys of the sections of all denoisers with this U-Net; see `ImprovedDiffusionUNet`.

    Attributes:
        widths: Channels of each level, finest first.
        attention: Whether each level has attention.
        blocks: Residual blocks of each level.
        heads: Heads of the attention.
        groups: Groups of the normalisations.
    """

    contract = "denoiser"

    widths: Widths
    attention: tuple[bool, ...]
    blocks: Depth
    heads: Depth
    groups: Depth = GROUPS

    @model_validator(mode="after")
    def levels_go_together(self) -> "ImprovedDiffusionConfig":
        """Refuse lists of unequal length, and heads or groups that do not divide the channels."""
        if len(self.widths) != len(self.attention):
            raise ValueError("widths and attention need one entry for each level")
        for name, count in (("heads", self.heads), ("groups", self.groups)):
            if any(width % count for width in self.widths):
                raise ValueError(f"{name}={count} does not divide all of widths")
        return self
