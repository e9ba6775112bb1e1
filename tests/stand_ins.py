"""Segmenters without a network, for tests of what is done with a segmenter."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.segmenters.base import BaseSegmenter, Graph, Part, Segmentation


class StandIn(BaseSegmenter):
    """A segmenter that can do nothing; a subclass has the methods that its test calls."""

    total_stride = 1

    def loss(self, batch: Batch) -> Tensor:
        raise NotImplementedError

    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        raise NotImplementedError

    def parts(self, image: Tensor) -> dict[str, Part]:
        raise NotImplementedError

    def run_on(self, graphs: Mapping[str, Graph]) -> None:
        raise NotImplementedError


class RedIsLesion(StandIn):
    """Returns the red channel as probability (0 to 1), and as each sample."""

    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        red = (image[:, :1] + 1) / 2
        samples = red.expand(sampling.samples, *red.shape) if sampling.samples else None
        return Segmentation(red, torch.zeros_like(red), samples)
