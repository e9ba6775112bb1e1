"""A training step on a batch of 16 in memory: loss, gradients, clipping, AdamW, averaged weights.

OMP_NUM_THREADS=2 pytest benchmarks/bench_train.py
"""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from mlffm_segdiff.benchmark.training_speed import TrainingStep, training_batch
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

BATCH, SIZE = 16, 128


@pytest.mark.parametrize("recipe", ["isic2018", "unet_isic2018"])
def test_training_step(benchmark: BenchmarkFixture, recipe: str) -> None:
    loaded = load_recipe(recipe, [f"data.size={SIZE}"])
    batch = training_batch(BATCH, SIZE, torch.device("cpu"))
    benchmark(TrainingStep(build_segmenter(loaded), loaded, batch, torch.float32))
