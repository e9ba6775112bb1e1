import pytest

from mlffm_segdiff.serve.options import response_format
from mlffm_segdiff.serve.problem import RefusedError


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("image/png", "png"),
        ("image/*", "png"),
        ("application/dicom", "dicom"),
        ("application/json;q=0.5, image/png", "png"),
        ("image/png;q=0.5, application/*;q=0.6", "json"),
        ("text/html, */*;q=0.1", "json"),
        ("Image/PNG; q=1.0", "png"),
    ],
)
def test_the_most_wanted_format_there_is(accept: str, expected: str) -> None:
    assert response_format(None, accept) == expected


def test_a_format_by_name_goes_first() -> None:
    assert response_format("dicom", "image/png") == "dicom"


@pytest.mark.parametrize("accept", ["text/html", "image/jpeg", "image/png;q=0", "image/png;q=x"])
def test_no_such_format(accept: str) -> None:
    with pytest.raises(RefusedError) as refused:
        response_format(None, accept)
    assert refused.value.status == 406
