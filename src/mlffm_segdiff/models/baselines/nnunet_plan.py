"""nnU-Net's plan of a 2D network and its batch from the size of the images (Isensee et al. 2021).

The rules and numbers are those of nnU-Net v2's ExperimentPlanner. Natural images have a spacing of 1 on both
axes there, so only sizes matter. Heights and widths of data sets are medians, so they may end in .5.
"""

from dataclasses import dataclass
from math import ceil, prod

from mlffm_segdiff.config.section import LARGEST_SIDE

FIRST_FEATURES, MAX_FEATURES = 32, 512
MIN_SIDE = 4
CONVOLUTIONS = 2
CLASSES = 2
REFERENCE_VALUES, REFERENCE_BATCH = 85_000_000, 12
MIN_BATCH = 2
LARGEST_SHARE = 0.05

Size = tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """A planned network.

    Attributes:
        patch: Height and width of the training patches.
        strides: The stride that leads to each stage, finest first; that one is (1, 1).
    """

    patch: Size
    strides: tuple[Size, ...]

    @property
    def features(self) -> tuple[int, ...]:
        """Channels of each stage: 32, doubled from stage to stage up to 512."""
        return tuple(min(FIRST_FEATURES * 2**stage, MAX_FEATURES) for stage in range(len(self.strides)))

    @property
    def total_strides(self) -> Size:
        """The divisors of valid heights and widths."""
        return prod(s[0] for s in self.strides), prod(s[1] for s in self.strides)


def plan_network(height: float, width: float, classes: int = CLASSES) -> Plan:
    """Plan a network for images of a median size.

    The patch is the whole image, made smaller until a batch of two fits the target memory.

    Args:
        height: Median height of the images in pixels, at least 1.
        width: Median width of the images in pixels, at least 1.
        classes: Number of classes, with the background.
    """
    plan = plan_patch((min(height, LARGEST_SIDE), min(width, LARGEST_SIDE)))
    while feature_values(plan, classes) * MIN_BATCH > REFERENCE_VALUES * REFERENCE_BATCH:
        plan = plan_patch(smaller_patch(plan, (height, width)))
    return plan


def plan_batch(plan: Plan, height: float, width: float, images: int, classes: int = CLASSES) -> int:
    """Return the batch size that fits 8 GB and at most 5 % of the data's pixels, at least 2.

    Args:
        plan: The network.
        height: The images' median height.
        width: The images' median width.
        images: The number of training and validation images.
        classes: Classes with the background.
    """
    fits = round(REFERENCE_VALUES / feature_values(plan, classes) * REFERENCE_BATCH)
    share = round(height * width * images * LARGEST_SHARE / prod(plan.patch))
    return max(min(fits, share), MIN_BATCH)


def plan_patch(size: tuple[float, float]) -> Plan:
    """Plan patches of at least this size: axes are halved until they are shorter than 8."""
    sides, strides = size, [(1, 1)]
    while (stride := next_stride(sides)) != (1, 1):
        strides.append(stride)
        sides = (-(-sides[0] // stride[0]), -(-sides[1] // stride[1]))
    height, width = Plan((0, 0), tuple(strides)).total_strides
    return Plan((ceil(size[0] / height) * height, ceil(size[1] / width) * width), tuple(strides))


def next_stride(sides: tuple[float, float]) -> Size:
    """Return the stride that follows a stage of this size; (1, 1) where the network ends.

    Both axes are halved if they stay 4 or longer, a single one if it stays 6 or longer.
    """
    height, width = (side >= 2 * MIN_SIDE for side in sides)
    if height != width and max(sides) < 3 * MIN_SIDE:
        return 1, 1
    return 1 + height, 1 + width


def smaller_patch(plan: Plan, image: tuple[float, float]) -> Size:
    """Return the patch with its axis that covers more of the image one step shorter."""
    patch = plan.patch
    axis = int(patch[1] / image[1] >= patch[0] / image[0])
    step = plan.total_strides[axis]
    step = plan_patch(_shorter(patch, axis, step)).total_strides[axis]
    return _shorter(patch, axis, step)


def feature_values(plan: Plan, classes: int = CLASSES) -> int:
    """Count the output values of the network's convolutions for one patch."""
    areas = _areas(plan)
    encoder = sum(CONVOLUTIONS * f * area for f, area in zip(plan.features, areas, strict=True))
    skips = zip(plan.features[:-1], areas[:-1], strict=True)
    return encoder + sum((CONVOLUTIONS + 1) * f * area for f, area in skips) + classes * areas[0]


def _areas(plan: Plan) -> list[int]:
    """Return the pixels of each stage."""
    area, areas = prod(plan.patch), []
    for stride in plan.strides:
        area //= prod(stride)
        areas.append(area)
    return areas


def _shorter(patch: Size, axis: int, step: int) -> Size:
    return (patch[0], patch[1] - step) if axis else (patch[0] - step, patch[1])
