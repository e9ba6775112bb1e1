"""Two paths that do not interact."""

from torch import Tensor, nn


class LateAddition(nn.Module):
    """h + v with v = Conv1x1(I): what takes the place of ``GatedInjection`` where the paths do not interact.

    ``project`` sees the image alone, so its result is computed once per image.
    """

    def __init__(self, image_channels: int, mask_channels: int) -> None:
        super().__init__()
        self.value = nn.Conv2d(image_channels, mask_channels, 1)

    def project(self, image_features: Tensor) -> Tensor:
        """Map image features (B C_image H W) to v (B C_mask H W)."""
        value: Tensor = self.value(image_features)
        return value

    def forward(self, h: Tensor, projected: Tensor) -> Tensor:
        """Add the image's value to the mask path's h (B C_mask H W)."""
        return h + projected
