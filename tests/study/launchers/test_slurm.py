"""submitit's Slurm executor, on commands that stand in for Slurm's.

They prove what is submitted and cancelled, and how it runs; not what Slurm does with it.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.study import LauncherConfig
from mlffm_segdiff.study.launchers.submitit_jobs import SubmititJobs

SBATCH = """#!/bin/bash
cp "$1" "$FAKE/submitted.sh"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
for task in $(seq 0 "$last"); do
  SLURM_JOB_ID=77$task SLURM_ARRAY_JOB_ID=77 SLURM_ARRAY_TASK_ID=$task SLURM_PROCID=0 SLURM_LOCALID=0 \\
  SLURM_NODEID=0 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=here \\
    bash "$1" > "$FAKE/task$task.txt" 2>&1 &
done
echo "Submitted batch job 77"
"""
SRUN = """#!/bin/bash
while [[ "$1" != /* ]]; do
  case "$1" in --output|--error) shift;; esac
  shift
done
exec "$@"
"""


def slurm(threads: int = 1, **options: Any) -> SubmititJobs:
    return SubmititJobs(LauncherConfig(name="slurm", **options), threads)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that run an array's tasks here, and record their arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    commands = {
        "sbatch": SBATCH,
        "srun": SRUN,
        "sacct": "#!/bin/bash\necho 'JobID|State|NodeList'\n",
        "scancel": '#!/bin/bash\necho "$@" >> "$FAKE/cancelled.txt"\n',
    }
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_an_array_has_the_resources_requested_and_its_cells_run(
    run: Callable[..., Any], diary: Any, fake: Path
) -> None:
    errors = run(slurm(3, workers=2, gpus=1, memory_gb=8, partition="gpu", minutes=90), "a", "fails")
    assert errors == {"a": None, "fails": "ValueError: no such lesion"}
    assert diary.times("begin") == {"a": 1, "fails": 1}
    assert {threads for _, threads, *_ in diary.lines("sees")} == {"'3'"}
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", (fake / "submitted.sh").read_text(), re.MULTILINE))
    expected = {
        "array": "0-1%2",
        "cpus-per-task": "3",
        "gpus-per-node": "1",
        "mem": "8GB",
        "partition": "gpu",
        "time": "90",
    }
    assert {name: asked[name] for name in expected} == expected


def test_closing_cancels_the_jobs_that_run(
    toy: Any, diary: Any, fake: Path, running: Callable[[], list[str]]
) -> None:
    outcomes = slurm().launch(toy, diary.study, ["a", "b-waits"])
    assert next(outcomes).key == "a"
    outcomes.close()
    assert (fake / "cancelled.txt").read_text().split() == ["77_1"]
    (diary.study / "go").touch()  # the stand-in cancels nothing
    wait_until(lambda: not running())


def test_without_slurm_the_error_names_where_to_run(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"^Slurm rejected the jobs \(.*srun.*\); run .* where sbatch works$"):
        run(slurm(), "a")


def test_refused_slurm_jobs_are_reported(run: Callable[..., Any], fake: Path) -> None:
    (fake / "sbatch").write_text("#!/bin/bash\necho 'sbatch: error: invalid partition' >&2; exit 1\n")
    with pytest.raises(UserError, match=r"Slurm rejected the jobs .*invalid partition"):
        run(slurm(partition="none"), "a", "b")
