"""An image as stripes of rows, so that a large one is converted and shrunk without a second copy of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

STRIPE_PIXELS = 2_000_000
STRIPE_BYTES = 24
"""Maximum number of bytes that the conversion of a stripe holds per pixel."""

NARROW_BYTES = 4 * 512
"""Bytes per row of an image that is resized in width only, at most 512 pixels."""

Pixels = npt.NDArray[np.uint8]
ReadRows = Callable[[int, int], Image.Image]


@dataclass(frozen=True)
class ImageRows:
    """An image that is read row by row.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        read: Returns the rows from the first number up to, but without, the second as an image of that
            height.
        decoded: The whole image, where `read` returns parts of it unchanged; otherwise None.
    """

    width: int
    height: int
    read: ReadRows
    decoded: Image.Image | None = None

    def stripes(self, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
        """Yield the image from top to bottom: the number of a stripe's first row, and the stripe.

        Args:
            multiple: The height of all stripes but the last is a multiple of it.
        """
        rows = max(multiple, STRIPE_PIXELS // self.width // multiple * multiple)
        for top in range(0, self.height, rows):
            yield top, self.read(top, min(top + rows, self.height))

    def whole(self) -> Image.Image:
        """Return the whole image in RGB."""
        if self.decoded is not None:
            return self.decoded
        image = Image.new("RGB", (self.width, self.height))
        for top, stripe in self.stripes():
            image.paste(stripe, (0, top))
        return image

    def pixels(self) -> Pixels:
        """Return the whole image as HxWx3 uint8."""
        found = np.empty((self.height, self.width, 3), np.uint8)
        for top, stripe in self.stripes():
            found[top : top + stripe.height] = np.asarray(stripe)
        return found

    def resized(self, size: int) -> Pixels:
        """Return the image as SxSx3 uint8, bilinear and antialiased.

        Equal to `Image.resize` of the whole, which also shrinks the width of each row before the height.
        """
        narrow = Image.new("RGB", (size, self.height))
        for top, stripe in self.stripes():
            narrow.paste(stripe.resize((size, stripe.height), Image.Resampling.BILINEAR), (0, top))
        return np.array(narrow.resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)

    def shrunk(self, side: int) -> Pixels:
        """Return the image as hxwx3 uint8 with no side above `side` pixels; a small one keeps its size.

        Equal to `Image.resize` of the whole with BOX and ``reducing_gap=2``: areas of whole pixels are
        averaged first.
        """
        scale = side / max(self.width, self.height)
        if scale >= 1:
            return self.pixels()
        size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        across, down = int(self.width / size[0] / 2) or 1, int(self.height / size[1] / 2) or 1
        reduced = Image.new("RGB", (-(-self.width // across), -(-self.height // down)))
        for top, stripe in self.stripes(multiple=down):
            reduced.paste(stripe.reduce((across, down)), (0, top // down))
        box = (0, 0, self.width / across, self.height / down)
        return np.array(reduced.resize(size, Image.Resampling.BOX, box), dtype=np.uint8)
