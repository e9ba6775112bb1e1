"""A training whose disk is full ends with one line that names the file, and can be resumed."""

import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.summary.writer.record_writer import RecordWriter

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.training.fit import resume, train
from mlffm_segdiff.training.run_folder import RunFolder


def test_a_checkpoint_that_does_not_fit_is_named_and_the_run_resumes(
    finished: RunFolder, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource", reason="this system does not limit the size of files")
    size = int(0.9 * finished.best.stat().st_size)
    run = RunFolder(tmp_path / "run")
    arguments = ["train", str(finished.config), "--run", str(run.path), "--threads", "1", "--quiet"]
    found = subprocess.run(
        [sys.executable, "-m", "mlffm_segdiff", *arguments],
        check=False,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    assert found.returncode == 2
    message = f"error: {run.best} cannot be written (File too large); free disk space or choose a folder"
    assert found.stderr.startswith(message)
    assert found.stderr.count("\n") == 1
    assert list(run.checkpoints.iterdir()) == []
    resume(run.path)
    one, other = ((folder.weights / "model.safetensors").read_bytes() for folder in (finished, run))
    assert one == other


def test_tensorboard_without_space_is_named(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RecordWriter, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordWriter, "write", full)
    with pytest.raises(UserError, match=r"tensorboard cannot be written \(No space left on device\); free"):
        train(recipe, tmp_path / "run")
