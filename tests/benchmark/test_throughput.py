import pytest

from mlffm_segdiff.benchmark import throughput
from mlffm_segdiff.benchmark.subject import Subject
from mlffm_segdiff.benchmark.throughput import measure_predict
from mlffm_segdiff.inference.model import Model


def test_files_against_decoded_pictures(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image takes the network 1 s, and reading and writing it 1 s more."""
    now, batches = 0.0, []
    real_segment, real_predict = throughput.segment_images, throughput.predict_files

    def segment(model: Model, images: list[object], view: object) -> object:
        nonlocal now
        now += len(images)
        batches.append(len(images))
        return real_segment(model, images, view)

    def predict(paths: list[object], *arguments: object, **options: object) -> object:
        nonlocal now
        now += 2 * len(paths)
        assert options == {"batch_size": 8}
        rows = list(real_predict(paths, *arguments, **options))
        assert [row.status for row in rows] == ["done"] * 9
        return rows

    monkeypatch.setattr(throughput, "segment_images", segment)
    monkeypatch.setattr(throughput, "predict_files", predict)
    object.__setattr__(subject, "clock", lambda: now)
    found = measure_predict(subject)
    (result,) = found.results
    assert result.figure is not None
    assert result.figure.value == 0.5
    assert list(found.facts["predict"].values()) == [0.5, 1.0]
    assert batches == [8, 1] * (len(batches) // 2)
