"""Training augmentation: MONAI transforms of {"image": 3HW in [0, 1], "mask": 1HW in {0, 1}}."""

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
    """Build the augmentation that all models are trained with; parts at 0 are left out.

    Args:
        flip: Whether to flip and rotate by quarter turns, with the eight symmetries of the square equally
            likely.
        affine: Strength of `RandWarpd`, about 0 to 1.
        colour: Strength of `RandColourd`, and of a gamma between 1 / 1.25 and 1.25 at strength 1.
        blur: Probability of `RandBlurd`, in [0, 1].
        hair: Probability of `RandHaird`, in [0, 1].
        size: Side of the square images in pixels.
    """
    both, gamma = ("image", "mask"), 1 + 0.25 * colour
    transforms: list[RandomizableTransform] = []
    if flip:
        transforms += [RandFlipd(both, prob=0.5, spatial_axis=1), RandRotate90d(both, prob=0.75)]
    if affine:
        transforms.append(RandWarpd(affine, size))
    if hair:
        transforms.append(RandHaird(hair))
    if colour:
        transforms += [RandColourd(colour), RandAdjustContrastd("image", prob=0.5, gamma=(1 / gamma, gamma))]
    if blur:
        transforms.append(RandBlurd(blur))
    return Compose(transforms)


def augment_pair(augmentation: Compose, pair: PairDict, seed: int, epoch: int, index: int) -> PairDict:
    """Augment one case; the result depends only on (seed, epoch, index), each at least 0.

    MONAI's tracking of metadata is disabled, because it adds two thirds to the cost.

    Args:
        augmentation: Augmentation from `training_augmentation`.
        pair: Image, 3HW float32 in [0, 1], and mask, 1HW float32 in {0, 1}.
        seed: Seed of the run.
        epoch: Number of the pass over the data.
        index: Index of the case.

    Returns:
        Image and mask of the same shapes and ranges.
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
    """Return a generator seeded by numbers of at least 0; PCG64 starts ten times faster than MT19937."""
    return np.random.RandomState(np.random.PCG64(entropy))


class RandWarpd(RandomizableTransform):
    """Random rotation, scaling, shear and translation, with reflection at the border.

    At strength 1, with probability 0.8: rotation up to 30 degrees, each side 25 % longer to 9 % shorter,
    shear up to 0.1, translation up to 5 % of the side; a larger one would mirror a lesion near the border
    into a second one. The image is interpolated bilinearly, the mask by nearest neighbour. Built from the
    parts of MONAI's `RandAffined`, which takes 2.4 times as long, in float32.

    Args:
        strength: Factor on all ranges.
        size: Side of the image in pixels.
        prob: Probability.
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
    """Random brightness, contrast, saturation, hue and white balance, as of another camera.

    At strength 1: brightness and contrast +-15 %, saturation +-20 %, hue +-0.07 rad, gain of each channel
    +-5 %. The result is clamped to [0, 1].

    Args:
        strength: Factor on all ranges.
        prob: Probability.
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
    """Return the 3 x 3 matrix on RGB columns: hue rotation, then saturation, channel gains and brightness.

    Both hue and saturation keep grey unchanged.

    Args:
        brightness: Factor on all channels.
        saturation: 0 for luma only, 1 for the image itself.
        hue: Rotation about the grey axis in radians (Rodrigues' formula).
        gains: Factor on each channel.
    """
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn = math.cos(hue) * np.eye(3) + (1 - math.cos(hue)) / 3 + math.sin(hue) * cross
    saturate = saturation * np.eye(3) + (1 - saturation) * LUMA
    matrix: NDArray[np.float64] = brightness * np.diag(gains) @ saturate @ turn
    return matrix


def shift_colour(image: Tensor, matrix: NDArray[np.float64], contrast: float) -> Tensor:
    """Apply a 3 x 3 matrix to a 3HW image, then contrast around the mean luma; clamp to [0, 1]."""
    pixels = image.flatten(1)
    middle = float(LUMA @ matrix @ pixels.mean(dim=1).numpy())
    shifted = torch.from_numpy(contrast * matrix).float() @ pixels
    return shifted.add_((1 - contrast) * middle).clamp_(0, 1).view_as(image)


class RandBlurd(RandomizableTransform):
    """Random Gaussian blur with a sigma of 0.3 to 1 px per 128 px of the image's side.

    It reflects at the border, where MONAI's `RandGaussianSmoothd` pads with black.

    Args:
        prob: Probability.
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
    """Random dark curved hairs over the image; the mask is unchanged.

    Args:
        prob: Probability.
        most: Maximum number of hairs.
    """

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
    """Draw control points, count x 3 x 2 in sides of the image, of hairs in roughly one direction."""
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
    """Render quadratic Bezier strokes with smooth edges.

    Args:
        curves: N x 3 x 2 control points (x, y), in units of the image's width and height.
        widths: N widths, in image widths.
        height: Height in pixels.
        width: Width in pixels.

    Returns:
        Coverage, HW in [0, 1].
    """
    canvas = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    points = bezier(curves, samples=12) * canvas.size
    for line, thickness in zip(points, widths * canvas.width, strict=True):
        draw.line(line.ravel().tolist(), fill=255, width=max(1, round(thickness)))
    return np.asarray(canvas.reduce(SUPERSAMPLING), np.float32) / np.float32(255)


def bezier(controls: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """Return N x samples x 2 points of N quadratic Bezier curves: (1-t)^2 a + 2t(1-t) b + t^2 c."""
    t = np.linspace(0, 1, samples)
    weights = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=-1)
    points: NDArray[np.float64] = weights @ controls
    return points
