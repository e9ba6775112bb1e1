"""Damaged files through the command `predict`: its status, its JSON, its messages, all its outputs."""

import json
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from fuzz.campaign import Reader
from fuzz.command_line import run_command
from fuzz.drawn import deflated_dicom, dicom_files, foreign_files, image_files
from fuzz.predicting import Predicted, check_files
from fuzz.sizes import sizes

from mlffm_segdiff.inference.outputs.writers import WRITERS

SEEDS = ("RGB.png", "RGB.jpg", "CMYK.tif", "1.bmp", "P.gif", "lossy.webp", "explicit.dcm", "rle.dcm")


@pytest.fixture(scope="module")
def weights(untrained: Callable[..., Path]) -> Path:
    """A folder of tiny weights."""
    return untrained("synthetic", "model.size=tiny", "data.size=32", "sampling.samples=2")


class Command(Predicted):
    """Image and DICOM files, with all outputs of `predict`."""

    name = "command"

    def __init__(self, folder: Path, weights: Path) -> None:
        super().__init__(folder)
        self.weights = weights
        files = image_files() | dicom_files()
        self.seeds = {name: files.pop(name) for name in SEEDS}
        self.others = files | foreign_files() | deflated_dicom()

    def read(self, path: Path) -> bool:
        """Return whether the status is 0, or 1 since only DICOM files get a DICOM SEG."""
        places = ["-i", str(path), "-o", str(self.outputs), "--weights", str(self.weights)]
        options = ["--json", "--threads", "1", *(text for name in WRITERS for text in ("-w", name))]
        status, printed = run_command("predict", *places, *options)
        check_files(self.outputs)
        for written in self.outputs.rglob("*.dcm"):
            pydicom.dcmread(written)
        if status == 2:
            return False
        row = json.loads(printed)["images"][0]
        return bool(row["status"] != "failed")


@sizes(0.03)
def test_damaged_files_never_break_the_command(
    count: int, campaign: Callable[[Reader, int], None], weights: Path, tmp_path: Path
) -> None:
    campaign(Command(tmp_path, weights), count)
