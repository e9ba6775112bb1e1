"""The commands of docs/API.md, run unchanged against a server, and what SERVING.md lists."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydicom import dcmread

DOCS = Path(__file__).parents[2] / "docs"
API = (DOCS / "API.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000/"


def commands() -> list[str]:
    blocks = re.findall(r"<!-- tested -->\n```\n(.*?)```", API, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here: docs/API.md was not tested")
def test_the_commands_work(
    live,
    tmp_path: Path,
    dicom: bytes,
    square: npt.NDArray[np.uint8],
    png: Callable[..., bytes],
) -> None:
    (tmp_path / "lesion.jpg").write_bytes(png(square, "JPEG"))
    (tmp_path / "other.jpg").write_bytes(png(square, "JPEG"))
    (tmp_path / "lesion.dcm").write_bytes(dicom)
    assert len(commands()) == 10
    for command in commands():
        assert ADDRESS in command
        line = command.replace(ADDRESS, live.url).replace("curl", "curl --fail-with-body --silent", 1)
        done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        if "-o" not in command:
            expected = '"state":"queued"' if "/batches" in command else '"measures":{"area":'
            assert expected in done.stdout
    with Image.open(tmp_path / "mask.png") as mask:
        assert mask.size == (16, 16)
    assert dcmread(tmp_path / "mask.dcm").Modality == "SEG"
    assert dcmread(tmp_path / "corrected.dcm").SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"


def test_every_option_metric_and_refusal_stands_there(make_app) -> None:
    text = API + (DOCS / "SERVING.md").read_text(encoding="utf-8")
    app = make_app()
    operations = app.openapi()["paths"]
    parameters = operations["/api/v1/segment"]["post"]["parameters"]
    names = [f"`{parameter['name']}`" for parameter in parameters]
    names += [f"{path}`" for path in operations]
    names += re.findall(r"segdiff_\w+", app_file("metrics.py").read_text())
    names += [f"`{kind}`" for kind in re.findall(r': "([a-z-]+)",\n', app_file("problem.py").read_text())]
    assert len(names) > 25
    missing = [name for name in names if name not in text]
    assert not missing


def app_file(name: str) -> Path:
    return Path(__file__).parents[2] / "src" / "mlffm_segdiff" / "serve" / name
