"""Damaged files through the command `predict`: its status, its JSON, its messages, all its outputs."""

import io
import json
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pydicom
import pytest
import torch
from fuzz.drawn import deflated_dicom, dicom_files, foreign_files, image_files
from fuzz.predicting import Predicted, check_files
from fuzz.sizes import sizes

from mlffm_segdiff.cli.app import run
from mlffm_segdiff.inference.outputs.writers import WRITERS
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.pretrained import save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

SEEDS = ("RGB.png", "RGB.jpg", "CMYK.tif", "1.bmp", "P.gif", "lossy.webp", "explicit.dcm", "rle.dcm")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny weights."""
    recipe = load_recipe("synthetic", ["model.size=tiny", "data.size=32", "sampling.samples=2"])
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    save_segmenter(build_segmenter(recipe), recipe, folder)
    return folder


class _Printed(logging.Handler):
    """Keeps the records that Python prints to standard error when a program configures nothing."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, unless its library has a handler of its own."""
        logger = logging.getLogger(record.name)
        while logger.parent is not None and not logger.handlers:
            logger = logger.parent
        if logger.parent is None:
            self.records.append(record)


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
        writers = [argument for name in WRITERS for argument in ("-w", name)]
        options = [
            "-o",
            str(self.outputs),
            "--weights",
            str(self.weights),
            "--threads",
            "1",
            "--json",
            *writers,
        ]
        logged = _Printed()
        logging.getLogger().addHandler(logged)
        printed, messages = io.StringIO(), io.StringIO()
        with redirect_stdout(printed), redirect_stderr(messages), warnings.catch_warnings(record=True) as raw:
            warnings.simplefilter("default")
            status = run(["predict", "-i", str(path), *options])
        logging.getLogger().removeHandler(logged)
        assert not logged.records, f"a library prints its log: {logged.records[0].name}"
        assert not raw, f"a warning of Python is printed: {raw[0].category.__name__}"
        assert status in (0, 1, 2), f"status {status}"
        assert "Traceback" not in messages.getvalue(), "a traceback is printed"
        assert "\x1b" not in messages.getvalue(), "an escape sequence of a file's name reaches the terminal"
        check_files(self.outputs)
        for written in self.outputs.rglob("*.dcm"):
            pydicom.dcmread(written)
        if status == 2:
            assert messages.getvalue().startswith("error: "), "no line that says what is wrong"
            return False
        row = json.loads(printed.getvalue())["images"][0]
        return bool(row["status"] != "failed")


@sizes(0.03)
def test_damaged_files_never_break_the_command(count: int, campaign, weights: Path, tmp_path: Path) -> None:
    campaign(Command(tmp_path, weights), count)
