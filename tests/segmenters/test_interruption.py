from collections.abc import Callable

import pytest

from mlffm_segdiff.config.schema import SamplerName, SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.interruption import InterruptedSamplingError, sampling_while


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm"])
def test_sampling_stops_before_the_next_step_once_it_is_not_wanted(
    trained: Callable[..., BaseSegmenter], batch: Batch, sampler: SamplerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sampler == "dpm":
        pytest.importorskip("diffusers")
    segmenter, steps = trained(), []
    denoise = segmenter.denoise

    def counted(*given: object) -> object:
        steps.append(given)
        return denoise(*given)

    monkeypatch.setattr(segmenter, "denoise", counted)
    sampling = SamplingConfig(samples=2, steps=5, sampler=sampler)
    with sampling_while(lambda: len(steps) < 3), pytest.raises(InterruptedSamplingError):
        segmenter.segment(batch.image, sampling)
    assert len(steps) == 3
    segmenter.segment(batch.image, sampling)
    assert len(steps) == 8
