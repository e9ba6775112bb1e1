import pytest

from mlffm_segdiff.benchmark.run import MEASUREMENTS, chosen_measurements, number_formats
from mlffm_segdiff.config.errors import UserError


def test_measurements_come_in_their_own_order() -> None:
    assert chosen_measurements(["peak", "segmentation", "peak"]) == ["segmentation", "peak"]
    assert chosen_measurements([]) == list(MEASUREMENTS)


def test_an_unknown_measurement_is_told() -> None:
    with pytest.raises(UserError, match="'speed' is none of segmentation, denoising"):
        chosen_measurements(["peak", "speed"])


def test_formats_to_measure_in() -> None:
    assert number_formats("auto") == ["auto"]
    assert number_formats("both") == ["float32", "bf16"]
    assert number_formats("bf16") == ["bf16"]
    assert number_formats("float32") == ["float32"]
