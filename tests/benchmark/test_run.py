import pytest

from mlffm_segdiff.benchmark import run
from mlffm_segdiff.benchmark.run import MEASUREMENTS, chosen_measurements, number_formats
from mlffm_segdiff.config.errors import UserError


def test_measurements_come_in_their_own_order() -> None:
    assert chosen_measurements(["accuracy", "segmentation", "accuracy"]) == ["segmentation", "accuracy"]
    assert chosen_measurements([]) == list(MEASUREMENTS)


def test_an_unknown_measurement_is_told() -> None:
    with pytest.raises(UserError, match="'speed' is none of segmentation, denoising"):
        chosen_measurements(["peak", "speed"])


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_bf16_where_that_is_fast(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "multiplies_bf16", lambda: native)
    assert number_formats("auto") == (["bf16"] if native else ["float32"])
    assert number_formats("both") == ["float32", "bf16"]
    assert number_formats("bf16") == ["bf16"]
    assert number_formats("float32") == ["float32"]
