"""Training augmentation: MONAI transforms over {"image": 3HW in [0, 1], "mask": 1HW in {0, 1}}."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from monai.data import get_track_meta, set_track_meta
from monai.networks.layers import gaussian_1d, separable_filtering
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffineGrid,
    RandFlipd,
    RandomizableTransform,
    RandRotate90d,
    Resample,
)
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

PairDict = dict[str, Tensor]

LUMA = np.array([0.299, 0.587, 0.114])
SUPERSAMPLING = 4


def training_augmentation(
    flip: bool, affine: float, colour: float, blur: float, hair: float, size: int = 128
) -> Compose:
    """The augmentation that every model is trained with; the parts at 0 are left out.

    flip: mirror and quarter turns, the square's eight symmetries alike often. affine: strength of
    `RandWarpd`, 0 to 1 or a little more. colour: strength of `RandColourd` and of a gamma from 1 / 1.25
    to 1.25 at 1. blur, hair: probabilities in [0, 1]. size: side in pixels of the square pictures.
    """
    return Compose(
        [
            *(_symmetries() if flip else []),
            *([RandWarpd(affine, size)] if affine else []),
            *([RandHaird(hair)] if hair else []),
            *([RandColourd(colour), _gamma(colour)] if colour else []),
            *([RandBlurd(blur)] if blur else []),
        ]
    )


def _symmetries() -> list[RandomizableTransform]:
    both = ("image", "mask")
    return [RandFlipd(both, prob=0.5, spatial_axis=1), RandRotate90d(both, prob=0.75)]


def _gamma(strength: float) -> RandomizableTransform:
    bound = 1 + 0.25 * strength
    return RandAdjustContrastd("image", prob=0.5, gamma=(1 / bound, bound))


def augment_pair(augmentation: Compose, pair: PairDict, seed: int, epoch: int, index: int) -> PairDict:
    """One case augmented, the same for the same (seed, epoch, index), whatever was drawn before.

    pair: image 3HW float32 in [0, 1] and mask 1HW float32 in {0, 1}; so is the result. The three
    numbers are 0 or more. MONAI's tracking of metadata is off meanwhile: it adds two thirds to the cost.
    """
    state = random_state(seed, epoch, 1 + index)
    for transform in augmentation.transforms:
        transform.set_random_state(state=state)
    tracked = get_track_meta()
    set_track_meta(False)
    try:
        augmented: PairDict = augmentation(pair)
    finally:
        set_track_meta(tracked)
    return augmented


def random_state(*entropy: int) -> np.random.RandomState:
    """A generator for these numbers (0 or more). PCG64 starts ten times faster than the usual one."""
    return np.random.RandomState(np.random.PCG64(entropy))


class RandWarpd(RandomizableTransform):
    """Turn, scale, shear and shift of image (bilinear) and mask (nearest) alike, mirrored at the border.

    At strength 1, with 0.8 probability: a turn of up to 30 degrees, each side from 20 % longer to 10 %
    shorter, shear up to 0.1, shift up to 5 % of the side (`size`, pixels): more than that mirrors much
    of a lesion near the border into a second one. MONAI's `RandAffined` from the same two pieces,
    in float32: that one takes 2.4 times as long.
    """

    def __init__(self, strength: float, size: int, prob: float = 0.8) -> None:
        super().__init__(prob)
        shear, shift, scale = 0.1 * strength, 0.05 * strength * size, (-0.2 * strength, 0.1 * strength)
        self.grid = RandAffineGrid(
            rotate_range=strength * math.pi / 6,
            shear_range=(shear, shear),
            translate_range=(shift, shift),
            scale_range=(scale, scale),
        )
        self.image_at = Resample("bilinear", "reflection", dtype=torch.float32)
        self.mask_at = Resample("nearest", "reflection", dtype=torch.float32)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> "RandWarpd":
        self.grid.set_random_state(seed, state)
        super().set_random_state(seed, state)
        return self

    def __call__(self, pair: PairDict) -> PairDict:
        self.randomize(None)
        if not self._do_transform:
            return pair
        grid = self.grid(spatial_size=pair["image"].shape[1:])
        return {**pair, "image": self.image_at(pair["image"], grid), "mask": self.mask_at(pair["mask"], grid)}


class RandColourd(RandomizableTransform):
    """Another camera and another light: brightness, contrast, saturation, hue and white balance.

    At strength 1: brightness and contrast +-15 %, saturation +-20 %, hue +-0.07 rad, each channel's
    gain +-5 %. The result is cut to [0, 1].
    """

    def __init__(self, strength: float, prob: float = 0.8) -> None:
        super().__init__(prob)
        self.strength = strength
        self.spread = np.array([0.15, 0.15, 0.2, 0.07, 0.05, 0.05, 0.05])
        self.shifts = np.zeros(7)

    def randomize(self, data: Tensor | None = None) -> None:
        super().randomize(data)
        self.shifts = self.strength * self.spread * self.R.uniform(-1, 1, size=7)

    def __call__(self, pair: PairDict) -> PairDict:
        self.randomize()
        if not self._do_transform:
            return pair
        brightness, contrast, saturation, hue, *gains = self.shifts.tolist()
        matrix = colour_matrix(1 + brightness, 1 + saturation, hue, [1 + gain for gain in gains])
        return {**pair, "image": shift_colour(pair["image"], matrix, 1 + contrast)}


def colour_matrix(
    brightness: float, saturation: float, hue: float, gains: Sequence[float]
) -> NDArray[np.float64]:
    """The 3 x 3 matrix on RGB columns: hue turn (radians), then saturation, gains a channel, brightness.

    Hue turns about the gray axis (Rodrigues' formula), saturation moves from the luma (0) by way of
    the picture itself (1) outwards; gray stays gray under both.
    """
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn = math.cos(hue) * np.eye(3) + (1 - math.cos(hue)) / 3 + math.sin(hue) * cross
    saturate = saturation * np.eye(3) + (1 - saturation) * LUMA
    matrix: NDArray[np.float64] = brightness * np.diag(gains) @ saturate @ turn
    return matrix


def shift_colour(image: Tensor, matrix: NDArray[np.float64], contrast: float) -> Tensor:
    """`matrix` (3 x 3) applied to a 3HW image, then contrast about the mean luma; cut to [0, 1]."""
    pixels = image.flatten(1)
    middle = float(LUMA @ matrix @ pixels.mean(dim=1).numpy())
    shifted = torch.from_numpy(contrast * matrix).float() @ pixels
    return shifted.add_((1 - contrast) * middle).clamp_(0, 1).view_as(image)


class RandBlurd(RandomizableTransform):
    """A lens out of focus: Gaussian blur with a sigma of 0.3 to 1 px a 128 px of the image's side.

    MONAI's own `RandGaussianSmoothd` takes what lies beyond the border as black; this one mirrors.
    """

    def __init__(self, prob: float) -> None:
        super().__init__(prob)
        self.sigma = 0.0

    def randomize(self, data: Tensor | None = None) -> None:
        super().randomize(data)
        self.sigma = self.R.uniform(0.3, 1.0) / 128

    def __call__(self, pair: PairDict) -> PairDict:
        self.randomize()
        if not self._do_transform:
            return pair
        image = pair["image"]
        kernel = gaussian_1d(torch.tensor(self.sigma * image.shape[-1]), truncated=3.0, normalize=True)
        blurred = separable_filtering(image[None], [kernel, kernel], mode="reflect")[0]
        return {**pair, "image": blurred.clamp_(0, 1)}


class RandHaird(RandomizableTransform):
    """One to twelve dark curved hairs drawn over the image; the mask stays as it is."""

    def __init__(self, prob: float, most: int = 12) -> None:
        super().__init__(prob)
        self.most = most
        self.curves = np.zeros((0, 3, 2))
        self.widths = np.zeros(0)
        self.colour = np.zeros(3)
        self.opacity = 0.0

    def randomize(self, data: Tensor | None = None) -> None:
        super().randomize(data)
        if not self._do_transform:
            return
        count = self.R.randint(1, self.most + 1)
        self.curves = hair_curves(self.R, count)
        self.widths = self.R.uniform(0.6, 1.5, size=count) / 128
        self.colour = self.R.uniform(0.02, 0.3) * np.array([1.0, 0.8, 0.65])
        self.opacity = self.R.uniform(0.5, 0.95)

    def __call__(self, pair: PairDict) -> PairDict:
        self.randomize()
        if not self._do_transform:
            return pair
        image = pair["image"]
        strokes = draw_strokes(self.curves, self.widths, image.shape[1], image.shape[2])
        cover = torch.from_numpy(strokes).mul_(self.opacity)
        colour = torch.tensor(self.colour, dtype=torch.float32).view(3, 1, 1)
        return {**pair, "image": torch.lerp(image, colour, cover)}


def hair_curves(state: np.random.RandomState, count: int) -> NDArray[np.float64]:
    """Control points (count x 3 x 2, in sides of the image) of hairs that lie roughly one way."""
    angle = state.uniform(0, math.pi) + state.normal(0, 0.35, size=count)
    along = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    middle = state.uniform(0, 1, size=(count, 2))
    half = state.uniform(0.15, 0.6, size=(count, 1)) * along
    bend = state.normal(0, 0.15, size=(count, 1)) * across
    return np.stack([middle - half, middle + bend, middle + half], axis=1)


def draw_strokes(
    curves: NDArray[np.float64], widths: NDArray[np.float64], height: int, width: int
) -> NDArray[np.float32]:
    """Cover (HW in [0, 1], smooth edges) of quadratic Bezier strokes.

    curves: N x 3 x 2 control points (x, y), in units of the image's width and height; widths: N, in
    image widths.
    """
    canvas = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    points = bezier(curves, samples=12) * canvas.size
    for line, thickness in zip(points, widths * canvas.width, strict=True):
        draw.line(line.ravel().tolist(), fill=255, width=max(1, round(thickness)))
    return np.asarray(canvas.reduce(SUPERSAMPLING), np.float32) / np.float32(255)


def bezier(controls: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """N x samples x 2 points of N quadratic Bezier curves (N x 3 x 2): (1-t)^2 a + 2t(1-t) b + t^2 c."""
    t = np.linspace(0, 1, samples)
    weights = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=-1)
    points: NDArray[np.float64] = weights @ controls
    return points
