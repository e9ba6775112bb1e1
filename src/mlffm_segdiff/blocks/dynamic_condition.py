"""Dynamic conditional encoding (Wu et al. 2022, arXiv:2211.00611): the image's features, as x_t asks for."""

from torch import Tensor, nn

from mlffm_segdiff.blocks.ff_parser import FFParser


class DynamicCondition(nn.Module):
    """(LN(m_I) * LN(m_x)) * m_I (eq. 3), with the noisy mask's features m_x through an FF-Parser first.

    The paper does not say over what LN normalises. Here it is all channels and pixels of a case, as in the
    authors' code, which has eq. 3 but does not call it. Theirs learns nothing; this has one gain and one bias
    a channel, so that it fits any size. size: see FFParser.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.parser = FFParser(channels, size)
        self.norm_image = nn.GroupNorm(1, channels)
        self.norm_mask = nn.GroupNorm(1, channels)

    def forward(self, image_features: Tensor, mask_features: Tensor) -> Tensor:
        """Map m_I and m_x (both B C H W) to the image's new features, of the same shape."""
        affinity: Tensor = self.norm_image(image_features) * self.norm_mask(self.parser(mask_features))
        return affinity * image_features
