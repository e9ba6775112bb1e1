from pathlib import Path

import numpy as np
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.metrics.human_agreement import AgreementModel
from mlffm_segdiff.segmenters.agreement import AGREEMENT, AgreementPredictor, HumanAgreement

MODEL = AgreementModel((0.0,) * 6, (1.0,) * 6, (0.2, 0, 0, 0, 0, 0), 0.5, 0.12, 460)
PREDICTOR = AgreementPredictor(source="isic2018", model=MODEL)


def test_a_prediction_by_hand() -> None:
    everything = np.ones((4, 4), np.float32)  # certainty 1
    assert PREDICTOR.predict(everything) == HumanAgreement(dice=0.7, error=0.12, cases=460)


def test_a_predictor_comes_back_as_written_for_its_own_weights_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert AGREEMENT.read(tmp_path) is None
    assert AGREEMENT.write(PREDICTOR, tmp_path, "abc") == tmp_path / "agreement.json"
    assert AGREEMENT.read(tmp_path, "abc") == AGREEMENT.read(tmp_path) == PREDICTOR
    assert AGREEMENT.read(tmp_path, "other") is None
    assert "was made for other weights" in caplog.text


@pytest.mark.parametrize(
    ("old", "new"),
    [('"source"', '"?"'), ("0.2", '"?"'), ("460", '"?"'), ("1.0", "0.0"), ("0.2", "1e308"), ("0.12", "NaN")],
)
def test_a_damaged_file_is_one_error(tmp_path: Path, old: str, new: str) -> None:
    path = AGREEMENT.write(PREDICTOR, tmp_path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match="remove it, or fit it again"):
        AGREEMENT.read(tmp_path)
