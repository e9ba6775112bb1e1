"""What the sections of all denoisers around the U-Net of improved diffusion hold."""

from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from mlffm_segdiff.blocks.improved_diffusion_unet import GROUPS
from mlffm_segdiff.config.schema import ModelConfig

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
