"""From pictures to the network and back to each picture's own size."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mlffm_segdiff.data.batch import image_tensor, signed_range
from mlffm_segdiff.segmenters.base import Sampling, Segmenter

THRESHOLD = 0.5

Map = npt.NDArray[np.float32]


class Maps(NamedTuple):
    """What a segmenter gives B pictures, float32: probability and spread BxSxS, samples BxNxSxS or None."""

    probability: Map
    spread: Map
    samples: Map | None


def segment_pictures(
    segmenter: Segmenter,
    images: npt.NDArray[np.uint8],
    sampling: Sampling,
    device: torch.device,
) -> Maps:
    """Return the maps of BxSxSx3 uint8 images; see `Segmentation`.

    segmenter: on `device`, in evaluation mode; else raises ValueError.
    """
    if segmenter.training:
        raise ValueError("the segmenter is in training mode; call its eval() first")
    with torch.inference_mode():
        answer = segmenter.segment(network_images(images).to(device), sampling)
    samples = None if answer.samples is None else _array(answer.samples.squeeze(2).transpose(0, 1))
    return Maps(_array(answer.probability.squeeze(1)), _array(answer.spread.squeeze(1)), samples)


def _array(found: Tensor) -> Map:
    array: Map = found.float().cpu().numpy()
    return array


def network_images(images: npt.NDArray[np.uint8]) -> Tensor:
    """Return B3SS float32 in [-1, 1] from BxSxSx3 uint8."""
    return signed_range(image_tensor(images)).contiguous()


def map_at(values: Map, height: int, width: int) -> Map:
    """Return the SxS map at height x width, bilinear between pixel centres, antialiased where it shrinks."""
    source = torch.from_numpy(values)[None, None]
    shrinks = height < values.shape[0] or width < values.shape[1]
    resized = F.interpolate(source, (height, width), mode="bilinear", align_corners=False, antialias=shrinks)
    found: Map = resized[0, 0].numpy()
    return found
