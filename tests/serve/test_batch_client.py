"""examples/batch_client: a folder becomes a ZIP file."""

import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import numpy as np
import numpy.typing as npt
import pytest

from mlffm_segdiff.serve.keys import ApiKeys

PROGRAM = Path(__file__).parents[2] / "examples" / "batch_client" / "segment_folder.py"


def run(
    folder: Path, *given: str, key: str = "", archive: str = "results.zip", before: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, PROGRAM, folder, folder / archive, *given]
    environment = os.environ | {"SEGDIFF_API_KEY": key}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_folder_becomes_a_zip_file(
    start_live, tmp_path: Path, square: npt.NDArray[np.uint8], png: Callable[..., bytes]
) -> None:
    live = start_live(keys=ApiKeys(["a key of 16 letters"]))
    for number in range(3):
        (tmp_path / f'{number} "é".png').write_bytes(png(np.roll(square, number, 1)))
    (tmp_path / "notes.txt").write_text("not an image")
    done = run(tmp_path, "outputs=coco", "--server", live.url, key="a key of 16 letters")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1/3", "2/3", "3/3"]
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        assert archive.testzip() is None
        assert {"coco.json", "predictions.csv"} < set(archive.namelist())
        assert sum(name.startswith("masks/") for name in archive.namelist()) == 3
    refused = run(tmp_path, "--server", live.url)
    assert refused.returncode == 1
    assert "API key" in refused.stderr


class Proxy(BaseHTTPRequestHandler):
    """A proxy that refuses a request with a page instead of JSON."""

    def do_POST(self) -> None:
        while self.rfile.readline() not in (b"0\r\n", b""):  # the last chunk
            pass
        self.send_error(413)

    def log_message(self, *given: object) -> None:
        """Print nothing."""


def test_errors_are_one_line(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{proxy.server_port}"
        refused = run(tmp_path, "--server", address)
        proxy.shutdown()
    assert refused.stderr == "error: 413: Request Entity Too Large\n"
    gone = run(tmp_path, "--server", address)
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1), gone.stderr
    assert "refused" in gone.stderr
    missing = run(tmp_path / "nowhere", "--server", address)
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1), missing.stderr
    assert "nowhere" in missing.stderr
    assert "'threshold' is not NAME=VALUE" in run(tmp_path, "threshold").stderr


def test_an_image_without_a_mask_is_named(
    live, tmp_path: Path, square: npt.NDArray[np.uint8], png: Callable[..., bytes]
) -> None:
    (tmp_path / "good.png").write_bytes(png(square))
    (tmp_path / "bad.png").write_bytes(b"text")
    done = run(tmp_path, "--server", live.url)
    assert done.returncode == 1
    assert "1/2 bad.png: bad.png" in done.stdout
    assert (tmp_path / "results.zip").is_file()


def test_an_archive_that_cannot_be_written_costs_no_results(
    live, tmp_path: Path, square: npt.NDArray[np.uint8], png: Callable[..., bytes]
) -> None:
    """In a missing folder, nothing is sent; on a disk that gets full, the server keeps the results."""
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(png(np.roll(square, number, 1)))
    missing = run(tmp_path, "--server", live.url, archive="missing/results.zip")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "batches" not in httpx2.get(f"{live.url}metrics").text
    assert "is a folder" in run(tmp_path, "--server", live.url, archive=".").stderr

    (tmp_path / "results.zip").write_bytes(b"of last week")
    if sys.platform == "win32":
        pytest.skip("no limit of file sizes here: a full disk was not tested")
    small = ("sh", "-c", 'ulimit -f 1; exec "$@"', "sh")  # a file has at most one block
    full = run(tmp_path, "--server", live.url, before=small)
    assert (full.returncode, full.stderr.count("\n")) == (1, 1), full.stderr
    found = re.search("the server keeps the results for a time: (/.*/zip)", full.stderr)
    assert found is not None, full.stderr
    kept = httpx2.get(f"{live.url}{found[1][1:]}")
    with zipfile.ZipFile(io.BytesIO(kept.content)) as archive:
        assert sum(name.startswith("masks/") for name in archive.namelist()) == 9
    assert (tmp_path / "results.zip").read_bytes() == b"of last week"
    assert not (tmp_path / "results.zip.part").exists()
