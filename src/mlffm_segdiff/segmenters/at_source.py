"""From uint8 images to the network, and from its maps back to each image's own size."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from mlffm_segdiff.data.image_tensor import image_tensor, normalise_image
from mlffm_segdiff.segmenters.base import BaseSegmenter, Sampling, Segmentation

THRESHOLD = 0.5
"""Default probability from which a pixel is lesion."""

Map = npt.NDArray[np.float32]


def segment_batch(
    segmenter: BaseSegmenter,
    images: npt.NDArray[np.uint8],
    sampling: Sampling,
    device: torch.device,
) -> Segmentation:
    """Segment a batch of images of the network's size.

    Args:
        segmenter: On ``device``, in evaluation mode.
        images: B S S 3, RGB.
        sampling: How masks are made.
        device: Of the segmenter.

    Returns:
        The segmentation, float32 on the CPU.

    Raises:
        ValueError: The segmenter is in training mode.
    """
    if segmenter.training:
        raise ValueError("the segmenter is in training mode; call its eval() first")
    with torch.inference_mode():
        found = segmenter.segment(normalise_image(image_tensor(images)).to(device), sampling)
    samples = None if found.samples is None else found.samples.float().cpu()
    features = None if found.features is None else found.features.cpu()
    return Segmentation(found.probability.float().cpu(), found.spread.float().cpu(), samples, features)


def map_at(values: Map, height: int, width: int) -> Map:
    """Resize a square map to height x width: bilinear between pixel centres, antialiased where it shrinks."""
    source = torch.from_numpy(values)[None, None]
    shrinks = height < values.shape[0] or width < values.shape[1]
    resized = F.interpolate(source, (height, width), mode="bilinear", align_corners=False, antialias=shrinks)
    found: Map = resized[0, 0].numpy()
    return found
