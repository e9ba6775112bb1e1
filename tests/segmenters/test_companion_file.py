"""The files next to weights are bound, read and refused in one way."""

import hashlib
import json
import logging
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.segmenters.agreement import AGREEMENT
from mlffm_segdiff.segmenters.calibration import QUALITY
from mlffm_segdiff.segmenters.companion_file import CompanionFile
from mlffm_segdiff.segmenters.companions import read_companions
from mlffm_segdiff.segmenters.outliers import OUTLIERS
from mlffm_segdiff.segmenters.saved_weights import DEFAULT, WEIGHTS, weights_folder

PACKAGED = weights_folder(DEFAULT)
ALL = pytest.mark.parametrize("kind", [QUALITY, AGREEMENT, OUTLIERS], ids=lambda kind: kind.name)

Kind = CompanionFile[Any]


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as file:
        found: dict[str, str] = file.metadata()
        return found


@ALL
def test_the_packaged_files_are_written_as_they_are(kind: Kind, tmp_path: Path) -> None:
    """Bound to the digest that hashlib computes of the packaged weights."""
    digest = hashlib.sha256((PACKAGED / WEIGHTS).read_bytes()).hexdigest()
    content = kind.read(PACKAGED, digest)
    assert content is not None
    written, original = kind.write(content, tmp_path, digest), PACKAGED / kind.name
    if kind is not OUTLIERS:
        assert written.read_bytes() == original.read_bytes()
        return
    assert metadata(written) == metadata(original)  # in any order
    ours, theirs = load_file(written), load_file(original)
    assert {name: (one.dtype, one.tobytes()) for name, one in ours.items()} == {
        name: (one.dtype, one.tobytes()) for name, one in theirs.items()
    }


@ALL
def test_files_of_other_weights_are_left_out_with_one_warning(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copyfile(PACKAGED / kind.name, tmp_path / kind.name)
    with caplog.at_level(logging.WARNING):
        assert [kind.read(tmp_path, "0" * 64) for _ in range(2)] == [None, None]
    (message,) = caplog.messages
    assert message.startswith(
        f"{tmp_path / kind.name} was made for other weights (their SHA-256 differs), so "
    )
    assert "; download both again, or " in message
    assert kind.read(tmp_path) is not None


@ALL
def test_another_format_is_refused(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / kind.name
    if kind is OUTLIERS:
        save_file(load_file(PACKAGED / kind.name), path, metadata(PACKAGED / kind.name) | {"format": "9"})
    else:
        path.write_text(json.dumps(json.loads((PACKAGED / kind.name).read_text()) | {"format": 9}))
    message = rf"{path.name} cannot be read \(format 9, not \d\); remove it, or (calibrate|fit it) again"
    with pytest.raises(UserError, match=message):
        kind.read(tmp_path)


def test_weights_without_any_have_none(tmp_path: Path) -> None:
    assert read_companions(tmp_path, "0" * 64) == (None, None, None)
