import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlffm_segdiff import __version__
from mlffm_segdiff.cli import app as cli
from mlffm_segdiff.cli.common import default_threads

Command = Callable[..., tuple[int, str, str]]
VERBS = (
    "train",
    "evaluate",
    "predict",
    "export",
    "benchmark",
    "models",
    "ablate",
    "compare",
    "serve",
    "demo",
)
HEAVY = (
    "torch",
    "lightning",
    "diffusers",
    "monai",
    "numpy",
    "scipy",
    "skimage",
    "matplotlib",
    "torchmetrics",
    "onnx",
    "onnxruntime",
    "openvino",
    "pandas",
    "ray",
    "submitit",
    "fastapi",
    "uvicorn",
)


def in_new_process(code: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        text=True,
        capture_output=True,
        env={**os.environ, **environment},
    ).stdout


@pytest.mark.parametrize(
    "verb",
    ["", *VERBS, "data", "data check"],
)
def test_help_imports_nothing_heavy(verb: str) -> None:
    printed = in_new_process(
        "import sys\n"
        "from mlffm_segdiff.cli.app import run\n"
        f"status = run([*{verb!r}.split(), '--help'])\n"
        f"print(status, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert printed.startswith(f"Usage: mlffm-segdiff {verb}".rstrip())
    assert printed.splitlines()[-1] == "0 []"


def test_the_installed_command_runs() -> None:
    command = Path(sys.executable).with_name("mlffm-segdiff")
    done = subprocess.run([command, "--version"], check=True, text=True, capture_output=True)
    assert done.stdout == f"mlffm-segdiff {__version__}\n"


def test_no_arguments_show_all_verbs(command: Command) -> None:
    status, printed, _ = command()
    assert status == 0
    assert all(f"\n  {verb} " in printed for verb in (*VERBS, "data"))


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["segment"], ["segment", "mlffm-segdiff --help"]),
        (["train", "--fast"], ["--fast", "mlffm-segdiff train --help"]),
        (["evaluate", "default"], ["--output", "mlffm-segdiff evaluate --help"]),
        (["evaluate", "default", "-o", "x", "--part", "exam"], ["--part", "exam", "train", "val", "test"]),
        (["train", "synthetic", "--threads", "0"], ["--threads", "1"]),
        (["data"], ["command", "mlffm-segdiff data --help"]),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(
    command: Command, arguments: list[str], names: list[str]
) -> None:
    status, printed, error = command(*arguments)
    assert (status, printed) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(name in error for name in names)


def test_a_failing_disk_is_told_in_one_line_with_the_file(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    status, _, error = command("data", "synthetic", "--count", 1, "-o", file / "folder")
    assert status == 2
    assert error.startswith(f"error: {file}")
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_an_interrupt_ends_with_130_and_a_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlffm_segdiff.data.synthetic_folder.write_folder", press)
    assert command("data", "synthetic", "--count", 1, "-o", "nowhere") == (130, "", "interrupted\n")


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("mlffm_segdiff.data.synthetic_folder.write_folder", fail)
    with pytest.raises(ZeroDivisionError):
        cli.run(["data", "synthetic", "--count", "1", "-o", "nowhere"])


@pytest.mark.parametrize(
    ("verb", "load", "expected"),
    [
        ("predict", 0.0, True),
        ("predict", 2.0, True),
        ("predict", 2.1, False),
        ("train", 0.0, False),
        ("compare", 0.0, False),
    ],
)
def test_threads_spin_a_little_on_an_idle_machine(
    verb: str, load: float, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 9.0, 9.0), raising=False)
    assert cli.may_spin([verb, "--help"]) is expected
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert not cli.may_spin([verb])


@pytest.mark.parametrize(("own", "expected"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(own: dict[str, str], expected: str) -> None:
    printed = in_new_process(
        "import os\n"
        f"os.environ.pop('OMP_WAIT_POLICY', None); os.environ.update({own!r})\n"
        "from mlffm_segdiff.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: print(os.environ['OMP_WAIT_POLICY'])"
    )
    assert printed.splitlines()[-1] == expected


@pytest.mark.parametrize(("available", "expected"), [(1, 1), (2, 2), (3, 2), (4, 2), (8, 4), (64, 32)])
def test_half_of_the_processors_work(available: int, expected: int) -> None:
    assert default_threads(available) == expected


def test_threads_reach_torch() -> None:
    code = (
        "import torch\n"
        "from mlffm_segdiff.cli.common import set_threads\n"
        "from mlffm_segdiff.data.processors import processors\n"
        "set_threads(3); print(torch.get_num_threads())\n"
        "set_threads(None); print(torch.get_num_threads(), processors())"
    )
    chosen, unasked = in_new_process(code, OMP_NUM_THREADS="1").splitlines()
    assert chosen == "3"
    threads, available = map(int, unasked.split())
    assert threads == default_threads(available)
