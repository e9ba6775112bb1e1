"""The section of a recipe that chooses the loss."""

from typing import Any, Literal

from pydantic import Field, model_validator

from mlffm_segdiff.config.section import NonNegative, Positive, Section

REGION_KEYS = ("cross_entropy", "dice", "kervadec", "batch_dice", "dice_smooth")


class LossConfig(Section):
    """The loss of a direct network or of objective x0; noise objectives use the weighted squared error only.

    Attributes:
        name: A loss of `mlffm_segdiff.losses.LOSSES`. Only ``region`` reads the keys from ``cross_entropy``
            on.
        target: A loss that is not registered: a class or function as ``package.module.Name``, in place of
            ``name``; see `mlffm_segdiff.losses.MaskLoss`.
        args: Keyword arguments of a loss other than ``region``.
        weight: The boundary weight (docs/METHOD.md). ``none``: 1. ``band``: 1 + band_gain * band.
            ``dermosegdiff``: 1 + dermosegdiff_gain * W(t), the hybrid loss of Bozorgpour et al. 2023;
            defaults are those of their configuration for HAM10000.
        band_gain: Gain of weight ``band``: alpha in docs/METHOD.md.
        band_width: Width of the band in pixels: s_b in docs/METHOD.md.
        dermosegdiff_gain: Gain of weight ``dermosegdiff``: g in docs/METHOD.md.
        dermosegdiff_gamma: Sharpness gamma of W(t).
        cross_entropy: Factor of the binary cross-entropy.
        dice: Factor of the soft Dice loss.
        batch_dice: Dice over the pixels of a batch together, not image by image.
        dice_smooth: Added to the numerator and the denominator of Dice.
        kervadec: Factor of the boundary loss of Kervadec et al. 2021.
    """

    name: str = "region"
    target: str | None = None
    args: dict[str, Any] = Field(default={})

    weight: Literal["none", "band", "dermosegdiff"] = "band"
    band_gain: NonNegative = 2.0
    band_width: Positive = 3.0
    dermosegdiff_gain: NonNegative = 0.25
    dermosegdiff_gamma: Positive = 0.2
    cross_entropy: NonNegative = 1.0
    dice: NonNegative = 1.0
    batch_dice: bool = False
    dice_smooth: Positive = 1.0
    kervadec: NonNegative = 0.0

    @property
    def is_region(self) -> bool:
        """Whether the loss is ``region``, whose arguments are keys of this section."""
        return self.target is None and self.name == "region"

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the loss."""
        return {key: getattr(self, key) for key in REGION_KEYS} if self.is_region else self.args

    @model_validator(mode="after")
    def keys_fit_the_loss(self) -> "LossConfig":
        """Refuse a loss without terms, and keys that the loss does not read."""
        if self.is_region:
            if self.args:
                raise ValueError("args are for another loss; region has its own keys")
            if not self.cross_entropy + self.dice + self.kervadec:
                raise ValueError("cross_entropy, dice and kervadec are all 0; give one of them a weight")
            return self
        if self.target is not None and self.name != "region":
            raise ValueError("name and target are two losses; leave one out")
        unread = [key for key in self.changed_keys() if key in REGION_KEYS]
        if unread:
            raise ValueError(f"{unread[0]} is for loss region; leave it out, or give it in args")
        return self
