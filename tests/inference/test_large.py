"""Images of 100 megapixels through a whole process."""

import csv
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.inference.outputs.writers import WRITERS

pytest.importorskip("resource", reason="this system does not report a process's peak memory")

SIDE, MAX_BYTES = 10_000, 2e9
# Linux counts what a process was before it became another program: a small one starts the verb and asks.
WITNESS = """
import resource, subprocess, sys
code = "from mlffm_segdiff.cli import main; main()"
subprocess.run([sys.executable, "-c", code, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
OF_PHOTOGRAPHS = [name for name in WRITERS if name != "dicom-seg"]


@pytest.fixture(scope="module")
def scan() -> Image.Image:
    """A dark disc with a fine grain, so that files are no smaller than a photograph's."""
    grain = np.tile(np.random.default_rng(0).integers(0, 24, (1000, 1000, 1), dtype=np.uint8), (10, 10, 3))
    rows, columns = np.ogrid[:SIDE, :SIDE]
    grain[(rows - SIDE // 2) ** 2 + (columns - SIDE // 2) ** 2 >= (SIDE // 3) ** 2] += 180
    return Image.fromarray(grain)


@pytest.mark.slow
@pytest.mark.parametrize("products", [[], OF_PHOTOGRAPHS], ids=["mask only", "every output"])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_100_megapixels_stay_under_2_gb(
    tmp_path: Path, scan: Image.Image, ending: str, products: list[str]
) -> None:
    path = tmp_path / f"scan.{ending}"
    scan.save(path, compress_level=1)
    where = ["predict", "-i", path, "-o", tmp_path / "out", "--samples", "3"]
    what = [option for product in products for option in ("-w", product)]
    command = [sys.executable, "-c", WITNESS, *map(str, where), *what, "--threads", "1"]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert int(printed) * (1 if sys.platform == "darwin" else 1024) < MAX_BYTES
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done"]
    header = (tmp_path / "out" / "masks" / "scan.png").read_bytes()[16:24]
    assert struct.unpack(">II", header) == (SIDE, SIDE)
