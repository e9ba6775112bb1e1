"""Segmenting with the network of the packaged recipe: its parts, and the whole by batch, steps and samples.

OMP_NUM_THREADS=2 pytest benchmarks/bench_segment.py
"""

from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import Sampling, Segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

SIZE = 128


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    """Fresh weights: what they are does not change the time."""
    return build_segmenter(load_recipe("isic2018", [f"data.size={SIZE}"])).eval()


def images(count: int) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1


@torch.inference_mode()
@pytest.mark.parametrize("batch", [1, 16])
def test_encode(benchmark: BenchmarkFixture, segmenter: Any, batch: int) -> None:
    benchmark(segmenter.network.encode, images(batch))


@torch.inference_mode()
@pytest.mark.parametrize("batch", [1, 16])
def test_denoise(benchmark: BenchmarkFixture, segmenter: Any, batch: int) -> None:
    image = images(batch)
    t = torch.full((batch,), 500)
    benchmark(segmenter.network.denoise, image[:, :1], t, segmenter.network.encode(image))


@pytest.mark.parametrize(("batch", "samples", "steps"), [(1, 0, 1), (1, 1, 4), (1, 5, 4), (16, 0, 1)])
def test_segment(
    benchmark: BenchmarkFixture, segmenter: Segmenter, batch: int, samples: int, steps: int
) -> None:
    benchmark(segmenter.segment, images(batch), Sampling(samples, steps))
