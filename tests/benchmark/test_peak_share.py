from functools import partial

import pytest
import torch

from mlffm_segdiff.benchmark.peak_share import measure_peak_share
from mlffm_segdiff.benchmark.roofline import COPY_BYTES, count_flops
from mlffm_segdiff.benchmark.subject import Subject


def test_share_of_the_peak_by_hand(subject: Subject) -> None:
    """Every call takes a second, so the peak is the largest product's arithmetic and the share a ratio."""
    found = measure_peak_share(subject, (32, 64))
    image = subject.random_images(16)
    with torch.inference_mode():
        flops = count_flops(partial(subject.segmenter.segment, image, subject.model.sampling))
    (result,) = found.results
    assert result.figure is not None
    assert result.figure.value == pytest.approx(100 * flops / (2 * 64**3))
    assert found.facts["roofline"] == pytest.approx(
        {
            "matrix peak, GFLOP/s": 2 * 64**3 / 1e9,
            "copy peak, GB/s": 2 * COPY_BYTES / 1e9,
            "segmentation, GFLOP": flops / 1e9,
            "segmentation, GFLOP/s": flops / 1e9,
        }
    )
    shares = found.facts["share of the segmentation's time, %"]
    assert any("convolution" in name for name in shares)
    assert sum(shares.values()) == pytest.approx(100)
