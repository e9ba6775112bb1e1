"""One graph from a batch of images to probabilities and masks, for programs without this package."""

from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

from mlffm_segdiff.config.extra import DISTRIBUTION
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_tensor import normalise_image, scale_pixels
from mlffm_segdiff.export import onnx
from mlffm_segdiff.export.manifest import FEATURES, IMAGE, MASK, PROBABILITY, Whole
from mlffm_segdiff.export.trace import EXAMPLE_BATCH
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.segmenters.base import BaseSegmenter, Part
from mlffm_segdiff.segmenters.pretrained import Pretrained
from mlffm_segdiff.segmenters.saved_weights import weights_digest

LESION = 255
"""Value of lesion in the graph's masks, as in mask files."""
OUTPUTS = (PROBABILITY, MASK, FEATURES)


class WholeGraph(nn.Module):
    """A segmenter from pixels to probability and mask, with a fixed sampling.

    Args:
        segmenter: Segmenter in evaluation mode, its noise held.
        sampling: Sampling settings, fixed in the graph.
    """

    def __init__(self, segmenter: BaseSegmenter, sampling: SamplingConfig) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.sampling = sampling

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Map images (BSS3 uint8, RGB) to the outputs.

        Returns:
            Probability (B1SS float32), mask (B1SS uint8, 0 and LESION), and features (BxD float32) if the
            network has them, see `segmenters.image_features`.
        """
        (image,) = inputs
        found = self.segmenter.segment(normalise_image(scale_pixels(image)), self.sampling)
        mask = (found.probability >= THRESHOLD).to(torch.uint8) * LESION
        return (found.probability, mask, *([] if found.features is None else [found.features]))


def in_one_graph(sampling: SamplingConfig) -> bool:
    """Return whether a sampling can be one graph: all of it is computed by torch, from the small image."""
    return sampling.sampler != "dpm" and sampling.fusion == "mean" and not sampling.second_look


def write_whole(segmenter: BaseSegmenter, pretrained: Pretrained, path: Path) -> Whole:
    """Write the graph as ONNX, with what a program must know as the model's metadata.

    Args:
        segmenter: Segmenter of the weights, ready for export; its noise will be held.
        pretrained: The weights, with the sampling.
        path: ONNX file to write.

    Raises:
        UserError: A package is missing.
    """
    size, sampling = pretrained.recipe.data.size, pretrained.sampling
    example = torch.zeros(EXAMPLE_BATCH, size, size, 3, dtype=torch.uint8)
    segmenter.hold_noise()
    whole = WholeGraph(segmenter, sampling)
    count = len(whole(example))  # draws the noise, which the graph then holds
    onnx.write(Part(whole, (example,), (IMAGE,), OUTPUTS[:count]), path, _metadata(pretrained, size))
    return Whole(sampling=sampling, sha256=weights_digest(path))


def _metadata(pretrained: Pretrained, size: int) -> dict[str, str]:
    """Return the metadata of the graph, text by name."""
    weights = pretrained.weights_sha256
    known = {"weights_sha256": weights} if weights else {}
    if pretrained.licence:
        known["license"] = pretrained.licence
    sampling = pretrained.sampling
    drawn = {"samples": str(sampling.samples), "steps": str(sampling.steps if sampling.samples else 1)}
    return {
        "size": str(size),
        "threshold": str(THRESHOLD),
        "model": pretrained.recipe.model.name,
        "version": version(DISTRIBUTION),
        **drawn,
        **known,
    }
