"""A second look: segment the found lesion again, enlarged, and merge both probability maps."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import find_objects, label
from scipy.special import expit, logit

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.segmenters.base import BaseSegmenter, segment_batch
from mlffm_segdiff.segmenters.network_output import Map

Pixels = npt.NDArray[np.uint8]

MARGIN = 0.35
"""Added on each side of the lesion, as a share of its larger side."""
LARGEST_CROP_SIDE = 0.9
"""Side of the crop, as a share of the image's, above which there is no second look."""
MIN_COMPONENT = 0.1
"""Area of a component, as a share of the largest one's, from which the crop includes it."""
SECOND_WEIGHT = 0.5
"""Weight of the second map in the merged logit, in the middle of the crop."""
RAMP = 0.125
"""Width of the band in which the weight rises from 0 at the crop's border, as a share of the crop's side."""
MAX_ENLARGED = 4
"""Side of the largest merged map, as a multiple of the network's size."""
CLEAREST = 1e-4
"""Probabilities are clipped to [CLEAREST, 1 - CLEAREST] before merging, so that neither map dominates."""


@dataclass(frozen=True)
class Crop:
    """A part of an image with the image's aspect ratio.

    Attributes:
        top: Top edge as a share of the image's height.
        left: Left edge as a share of the image's width.
        side: Height and width, as shares of those of the image.
    """

    top: float
    left: float
    side: float


def look_again(
    segmenter: BaseSegmenter,
    first: Map,
    view: Callable[[int], Pixels | None],
    sampling: SamplingConfig,
    device: torch.device,
) -> list[Map]:
    """Merge the maps of B images with those of a second look, for images that need one.

    Args:
        segmenter: Segmenter on `device`, in evaluation mode.
        first: BxSxS probabilities of the whole images.
        view: Returns an image by its number, HxWx3 uint8, or None for no second look. It is called once for
            each image to look at again, and no image is kept after its crop is taken.
        sampling: Sampling settings of the first maps.
        device: Device of the segmenter.

    Returns:
        B maps: SxS without a second look, otherwise as `merge_maps` returns them.
    """
    merged, crops, small = list(first), {}, []
    for number, probability in enumerate(first):
        crop = lesion_crop(probability)
        image = None if crop is None else view(number)
        if crop is not None and image is not None:
            crops[number] = crop
            small.append(crop_image(image, crop, len(probability)))
        del image
    if crops:
        second = segment_batch(segmenter, np.stack(small), sampling, device).probability
        for (number, crop), probability in zip(crops.items(), second[:, 0].numpy(), strict=True):
            merged[number] = merge_maps(first[number], probability, crop)
    return merged


def lesion_crop(probability: Map) -> Crop | None:
    """Choose the part of an image to look at again: the lesion's box with a margin, moved into the image.

    The network is trained on images resized to a square, so the crop keeps the image's aspect ratio.

    Args:
        probability: SxS, of the whole image.

    Returns:
        The crop; None if nothing was found, or if the crop would be nearly the whole image.
    """
    mask = probability >= THRESHOLD
    if not mask.any():
        return None
    labels, _ = label(mask)
    areas = np.bincount(labels.ravel())[1:]
    large = areas >= MIN_COMPONENT * areas.max()
    boxes = [box for box, kept in zip(find_objects(labels), large, strict=True) if kept]
    starts = [min(box[axis].start for box in boxes) / len(mask) for axis in (0, 1)]
    ends = [max(box[axis].stop for box in boxes) / len(mask) for axis in (0, 1)]
    side = max(end - start for start, end in zip(starts, ends, strict=True)) * (1 + 2 * MARGIN)
    if side > LARGEST_CROP_SIDE:
        return None
    top, left = (
        min(max((start + end - side) / 2, 0.0), 1 - side) for start, end in zip(starts, ends, strict=True)
    )
    return Crop(top, left, side)


def crop_image(image: Pixels, crop: Crop, size: int) -> Pixels:
    """Cut a crop out of an image and resize it as training images are.

    Args:
        image: HxWx3 uint8 RGB.
        crop: Part to cut out.
        size: Side S of the result in pixels.

    Returns:
        SxSx3 uint8 RGB.
    """
    height, width = image.shape[:2]
    left, top = crop.left * width, crop.top * height
    box = (left, top, min(left + crop.side * width, width), min(top + crop.side * height, height))
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.array(resized, dtype=np.uint8)


def merge_maps(first: Map, second: Map, crop: Crop) -> Map:
    """Merge the map of the whole image with that of a crop into a finer map of the whole image.

    Inside the crop the logits are averaged, with a weight that falls to 0 at the crop's border except where
    that is the image's border. Outside it, the result is `first`, interpolated.

    Args:
        first: SxS probabilities of the whole image.
        second: SxS probabilities of the crop.
        crop: Part of the image that `second` is of.

    Returns:
        KxK float32 in [0, 1]; K is the multiple of S at which the crop has at least S pixels per side, but
        no more than MAX_ENLARGED times S.
    """
    side = len(first) * min(math.ceil(1 / crop.side), MAX_ENLARGED)
    centres = (np.arange(side) + 0.5) / side
    rows, columns = (centres - crop.top) / crop.side, (centres - crop.left) / crop.side
    whole = sample_map(first, centres, centres)
    weight = SECOND_WEIGHT * np.minimum(_ramp(rows, crop.top, crop)[:, None], _ramp(columns, crop.left, crop))
    pair = [logit(np.clip(one, CLEAREST, 1 - CLEAREST)) for one in (whole, sample_map(second, rows, columns))]
    merged: Map = np.where(weight > 0, expit((1 - weight) * pair[0] + weight * pair[1]), whole)
    return merged.astype(np.float32)


def _ramp(places: npt.NDArray[np.float64], start: float, crop: Crop) -> npt.NDArray[np.float64]:
    """Return the second map's weight in [0, 1] at places along one axis, as shares of the crop."""
    before = places if start > 0 else np.full_like(places, RAMP)
    after = 1 - places if start + crop.side < 1 else np.full_like(places, RAMP)
    return np.clip(np.minimum(before, after) / RAMP, 0, 1)


def sample_map(values: Map, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> Map:
    """Sample a map on a grid of places, bilinear between pixel centres.

    Args:
        values: SxS float32.
        rows: Places as shares of the height, H.
        columns: Places as shares of the width, W.

    Returns:
        HxW float32.
    """
    y, x = (torch.from_numpy(2 * places - 1).float() for places in (rows, columns))
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
    found: Map = F.grid_sample(
        torch.from_numpy(values)[None, None], grid, padding_mode="border", align_corners=False
    )[0, 0].numpy()
    return found
