"""What the sections of all denoisers around the U-Net of improved diffusion hold."""

from collections.abc import Sequence
from typing import Annotated

from monai.networks.nets import DiffusionModelUNet
from monai.networks.nets.diffusion_model_unet import get_down_block, get_timestep_embedding
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.schema import ModelConfig

GROUPS = 32
NORM_EPS = 1e-5


class ImprovedDiffusionUNet(DiffusionModelUNet):
    """MONAI's network, for denoisers that meet the image between its parts.

    Those are ``conv_in`` (the stem), ``down_blocks`` (one a level), and the methods below. widths: channels a
    level, finest first, each a multiple of ``groups`` and of ``heads``. attention: which levels attend among
    all their pixels; the middle always does. blocks: residual blocks a level. groups: of the normalisations.
    With one channel a group they would take away what the time adds to each channel.
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
        """Map times (B, steps of the schedule) to embeddings (B x 4 widths[0])."""
        weight = self.time_embed[0].weight
        time: Tensor = self.time_embed(get_timestep_embedding(t, weight.shape[1]).to(weight.dtype))
        return time

    def from_stem(self, h: Tensor, time: Tensor) -> Tensor:
        """Map the stem's output (B widths[0] H W) and the embedded time to B1HW."""
        skips = [h]
        for level in self.down_blocks:
            h, found = level(hidden_states=h, temb=time)
            skips += found
        return self.decode(h, skips, time)

    def decode(self, h: Tensor, skips: Sequence[Tensor], time: Tensor) -> Tensor:
        """Map the coarsest level and all skips, in the order they were made, to B1HW.

        The skips are the stem's output and what each level gives beside its last feature map.
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
    """Return the blocks of a level of the U-Net's encoder, without the step to the next level.

    It maps ``hidden_states`` (B channels_in H W) and ``temb`` (B x time_width) to B channels_out H W and the
    output of each block. heads: of attention after each block; 0 for none.
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


Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=2)]


class ImprovedDiffusionConfig(ModelConfig):
    """widths, attention: channels of a level, and whether it attends, finest first. See the U-Net itself.

    blocks: residual blocks a level. heads: of attention. groups: of the normalisations.
    """

    widths: Widths
    attention: tuple[bool, ...]
    blocks: PositiveInt
    heads: PositiveInt
    groups: PositiveInt = GROUPS

    @model_validator(mode="after")
    def levels_go_together(self) -> "ImprovedDiffusionConfig":
        """Refuse lists of unequal length, and heads or groups that do not divide the channels."""
        if len(self.widths) != len(self.attention):
            raise ValueError("widths and attention need one entry for each level")
        for name, count in (("heads", self.heads), ("groups", self.groups)):
            if any(width % count for width in self.widths):
                raise ValueError(f"{name}={count} does not divide all of widths")
        return self
