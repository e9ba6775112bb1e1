"""Augmentation by close-ups: a part of the lesion fills the image, as lesions do that are larger than it."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from monai.transforms import RandomizableTransform
from torch import Tensor

PairDict = dict[str, Tensor]

FRAMED = 0.5
"""Share of the close-ups in a dark round frame, as of a dermatoscope's aperture."""
EDGE, SHADE_FROM, SHADE_WIDTH = 0.98, 0.9, 0.15
"""Share of the frame's radii where the mask ends, and where and over which width the image becomes dark."""


class RandCloseUpd(RandomizableTransform):
    """Random magnified view of a part of the lesion, half of them in a dark round frame.

    The magnification is log-uniform from 1 to `most`. The view is centred on a random pixel of the lesion, as
    far as the image reaches. The frame is an ellipse about the centre of the view, with radii of 0.95 to 1.2
    half widths, and up to a third more in height; outside it there is no lesion. Images without a lesion stay
    as they are.

    Args:
        prob: Probability.
        most: Largest magnification.
    """

    def __init__(self, prob: float, most: float = 3.0) -> None:
        super().__init__(prob)
        self.most = most
        self.magnification, self.position, self.darkness = 1.0, 0.0, 0.0
        self.radii: tuple[float, float] | None = None

    def randomize(self, data: Tensor | None = None) -> None:
        super().randomize(data)
        self.magnification = math.exp(self.R.uniform(0, math.log(self.most)))
        self.position = self.R.uniform()
        framed, width, ratio = self.R.uniform(size=3)
        across = 0.95 + 0.25 * width
        self.radii = (across * (1 + ratio / 3), across) if framed < FRAMED else None
        self.darkness = self.R.uniform(0.7, 1)

    def __call__(self, pair: PairDict) -> PairDict:
        self.randomize()
        lesion = pair["mask"][0].nonzero()
        if not self._do_transform or not len(lesion):
            return pair
        row, column = lesion[int(self.position * len(lesion))].tolist()
        image, mask = (magnify(pair[key], row, column, self.magnification) for key in ("image", "mask"))
        mask = (mask >= 0.5).float()
        if self.radii is not None:
            distance = ellipse_distance(mask.shape[1], mask.shape[2], *self.radii)
            shade = ((distance - SHADE_FROM) / SHADE_WIDTH).clamp(0, 1)
            image, mask = image * (1 - self.darkness * shade), mask * (distance < EDGE)
        return {**pair, "image": image, "mask": mask}


def magnify(pixels: Tensor, row: int, column: int, magnification: float) -> Tensor:
    """Cut out a window about a pixel and resize it bilinearly to the size of the whole.

    Args:
        pixels: CHW.
        row: Row of its centre; a window that would reach over the edge is moved into the image.
        column: Column of its centre.
        magnification: Ratio of the sides of the image and of the window, at least 1.

    Returns:
        CHW.
    """
    height, width = pixels.shape[1:]
    tall, wide = round(height / magnification), round(width / magnification)
    top = int(np.clip(row - tall // 2, 0, height - tall))
    left = int(np.clip(column - wide // 2, 0, width - wide))
    window = pixels[:, top : top + tall, left : left + wide]
    return F.interpolate(window[None], (height, width), mode="bilinear")[0]


def ellipse_distance(height: int, width: int, tall: float, wide: float) -> Tensor:
    """Return the distance of each pixel from the centre, 1 on an ellipse.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        tall: Vertical radius of the ellipse, as a share of half the height.
        wide: Horizontal radius, as a share of half the width.

    Returns:
        HW.
    """
    y = torch.linspace(-1, 1, height)[:, None] / tall
    x = torch.linspace(-1, 1, width)[None] / wide
    return (y**2 + x**2).sqrt()
