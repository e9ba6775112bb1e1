import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.main import get_command

from mlffm_segdiff import __version__
from mlffm_segdiff.cli import app as cli
from mlffm_segdiff.cli.common import ExitStatus, Reporter
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.machine.processors import default_threads

Command = Callable[..., tuple[int, str, str]]
VERBS = sorted(get_command(cli.app).commands)
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
    "pydicom",
    "fsspec",
)


OF_TORCH = tuple(name for name in HEAVY if name != "numpy")
OF_TRAIN = ("einops", "imagehash", "lightning", "matplotlib", "monai", "tensorboard", "torchmetrics")
OF_EXTRAS = tuple(name for name in (*HEAVY, *OF_TRAIN) if name not in ("torch", "numpy", "scipy", "skimage"))


def in_new_process(code: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        text=True,
        capture_output=True,
        env={**os.environ, **environment},
    ).stdout


@pytest.mark.parametrize("verb", ["", *VERBS, "data check"])
def test_help_imports_nothing_heavy(verb: str) -> None:
    printed = in_new_process(
        "import sys\n"
        "from mlffm_segdiff.cli.app import run\n"
        f"status = run([*{verb!r}.split(), '--help'])\n"
        f"print(status, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert printed.startswith(f"Usage: mlffm-segdiff {verb}".rstrip())
    assert printed.splitlines()[-1] == "0 []"


@pytest.mark.parametrize("arguments", [["models"], ["models", "--json"], ["doctor"], ["doctor", "--json"]])
def test_lists_and_checks_do_not_import_torch(arguments: list[str]) -> None:
    printed = in_new_process(
        "import sys\n"
        "from mlffm_segdiff.benchmark import machine\n"
        "from mlffm_segdiff.cli.app import run\n"
        "machine.has_gpu_driver = lambda: False\n"
        f"status = run({arguments!r})\n"
        f"print(status, [name for name in {OF_TORCH!r} if name in sys.modules])"
    )
    assert printed.splitlines()[-1] == "0 []"


def test_segmenting_imports_no_package_of_an_extra(tmp_path: Path) -> None:
    arguments = ["predict", "-q", "-i", str(samples_folder() / "sample_1.png"), "-o", str(tmp_path)]
    printed = in_new_process(
        "import sys\n"
        "from mlffm_segdiff.cli.app import run\n"
        f"status = run({arguments!r})\n"
        f"print(status, [name for name in {OF_EXTRAS!r} if name in sys.modules], len(sys.modules))"
    )
    status, *found, modules = printed.split()
    assert (status, found) == ("0", ["[]"])
    assert int(modules) < 2500, "torch, scipy and scikit-image bring about 2,100"


def test_without_the_extra_train_images_are_segmented_and_training_says_what_to_install(
    tmp_path: Path,
) -> None:
    printed = in_new_process(
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({OF_TRAIN!r}))\n"
        "from mlffm_segdiff.cli.app import run\n"
        "from mlffm_segdiff.config import extra\n"
        f"extra.missing_packages = lambda: {{'train': [*{OF_TRAIN!r}]}}\n"
        "sys.stderr = sys.stdout\n"
        f"print(run(['demo', '-q', '-o', {str(tmp_path / 'demo')!r}]))\n"
        f"print(run(['train', 'synthetic', '--run', {str(tmp_path / 'run')!r}]))"
    )
    lines = printed.splitlines()
    assert (lines[0], lines[-1]) == ("0", "2")
    assert len(lines) == 3
    assert re.fullmatch(r'error: \w+ is not installed; run: pip install ".*\[train\]"', lines[1])


def test_the_installed_command_runs() -> None:
    command = Path(sys.executable).with_name("mlffm-segdiff")
    done = subprocess.run([command, "--version"], check=True, text=True, capture_output=True)
    assert done.stdout == f"mlffm-segdiff {__version__}\n"


def test_no_arguments_show_all_verbs(command: Command) -> None:
    status, printed, _ = command()
    assert status == 0
    assert all(f"\n  {verb} " in printed for verb in VERBS)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["segment"], ["segment", "mlffm-segdiff --help"]),
        (["train", "--fast"], ["--fast", "mlffm-segdiff train --help"]),
        (["evaluate", "default"], ["--output", "mlffm-segdiff evaluate --help"]),
        (["evaluate", "default", "-o", "x", "--part", "exam"], ["--part", "exam", "train", "val", "test"]),
        (["train", "synthetic", "--threads", "0"], ["--threads", "1"]),
        (["predict", "a.jpg", "-o", "out", "--threads", "1025"], ["--threads", "1024"]),
        (["plan", "--threads", "1025"], ["--threads", "1024"]),
        (["data", "split", "folder", ".", "--sizes", "1/1/1", "-o", "a", "--seed", "-1"], ["--seed", "0"]),
        (["data", "synthetic", "-o", "new", "--count", "1", "--seed", str(2**32)], ["--seed", "4294967295"]),
        (["data"], ["command", "mlffm-segdiff data --help"]),
        (["predict", "a.jpg", "-o", ""], ["empty argument after -o", "variable"]),
        (["predict", "", "-o", "x"], ["empty argument; "]),
        (["data", "check", "folder", ".", "--split="], ["empty argument after --split;"]),
        (["study", "run", ""], ["empty argument; "]),
    ],
)
def test_a_wrong_command_line_is_reported_in_one_line(
    command: Command, arguments: list[str], names: list[str]
) -> None:
    status, printed, error = command(*arguments)
    assert (status, printed) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(name in error for name in names)


def test_a_failing_disk_is_reported_in_one_line_with_the_file(command: Command, tmp_path: Path) -> None:
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

    monkeypatch.setattr("mlffm_segdiff.data.synthetic.write_folder", press)
    assert command("data", "synthetic", "--count", 1, "-o", "nowhere") == (130, "", "interrupted\n")


def test_a_gpu_without_enough_memory_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("mlffm_segdiff.data.synthetic.write_folder", fill)
    assert command("data", "synthetic", "--count", 1, "-o", "nowhere") == (
        1,
        "",
        "error: CUDA out of memory. Tried to allocate 2.00 GiB.; use smaller batches or images, "
        "or --device cpu\n",
    )


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("mlffm_segdiff.data.synthetic.write_folder", fail)
    with pytest.raises(ZeroDivisionError):
        cli.run(["data", "synthetic", "--count", "1", "-o", "nowhere"])


@pytest.mark.parametrize(
    ("verb", "load", "expected"),
    [
        ("predict", 0.0, True),
        ("predict", 2.0, True),
        ("predict", 2.1, False),
        ("train", 0.0, False),
        ("study", 0.0, False),
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
def test_waiting_threads_sleep_unless_the_user_overrides_it(own: dict[str, str], expected: str) -> None:
    printed = in_new_process(
        "import os\n"
        f"os.environ.pop('OMP_WAIT_POLICY', None); os.environ.update({own!r})\n"
        "from mlffm_segdiff.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: print(os.environ['OMP_WAIT_POLICY'])"
    )
    assert printed.splitlines()[-1] == expected


def test_threads_reach_torch() -> None:
    code = (
        "import torch\n"
        "from mlffm_segdiff.cli.common import set_threads\n"
        "from mlffm_segdiff.machine.processors import processors\n"
        "set_threads(3); print(torch.get_num_threads())\n"
        "set_threads(None); print(torch.get_num_threads(), processors())"
    )
    chosen, default = in_new_process(code, OMP_NUM_THREADS="1").splitlines()
    assert chosen == "3"
    threads, available = map(int, default.split())
    assert threads == default_threads(available)


def test_exit_statuses_are_those_of_shells() -> None:
    values = {status.name: int(status) for status in ExitStatus}
    expected = {"DONE": 0, "FAULTS": 1, "BAD_INPUT": 2, "INTERRUPTED": 130, "TERMINATED": 143}
    assert values == expected


def test_a_reader_that_goes_away_ends_the_command_silently() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = "from mlffm_segdiff.cli import main; main(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("quiet", "as_json", "out", "error"),
    [
        (False, False, "done\nboxed\n", "note\n"),
        (True, False, "", ""),
        (False, True, '{\n  "folder": "a/b"\n}\n', "done\nboxed\nnote\n"),
        (True, True, '{\n  "folder": "a/b"\n}\n', ""),
    ],
)
def test_messages_and_results_go_to_their_streams(
    quiet: bool, as_json: bool, out: str, error: str, capfd: pytest.CaptureFixture[str]
) -> None:
    reporter = Reporter(quiet, as_json)
    reporter.info("done")
    reporter.console().print("boxed")
    reporter.warn("note")
    with reporter.status("working"), reporter.progress("working") as progress:
        progress(1, 2)
    reporter.result({"folder": Path("a/b")})
    assert capfd.readouterr() == (out, error)


def test_a_result_is_strict_json(capfd: pytest.CaptureFixture[str]) -> None:
    Reporter(json=True).result({"name": "Läsion", "count": 3, "none": None})
    assert json.loads(capfd.readouterr().out) == {"name": "Läsion", "count": 3, "none": None}
    with pytest.raises(ValueError, match="JSON"):
        Reporter(json=True).result({"score": float("nan")})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(shell: str) -> None:
    code = "from mlffm_segdiff.cli import main; main([])"
    script = in_new_process(code, _MLFFM_SEGDIFF_COMPLETE=f"source_{shell}")
    assert "_MLFFM_SEGDIFF_COMPLETE=complete_" + shell in script
    shown = f"from mlffm_segdiff.cli import main; main(['--show-completion', {shell!r}])"
    assert script.strip() == in_new_process(shown, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1").strip()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("mlffm-segdiff ev", ["evaluate"]),
        ("mlffm-segdiff train unet_", ["unet_lite0", "unet_ph2"]),
        ("mlffm-segdiff study run mod", ["models"]),
        ("mlffm-segdiff data sy", ["synthetic"]),
        ("mlffm-segdiff predict --mm", ["--mm-per-pixel"]),
        ("mlffm-segdiff export default --format op", ["openvino"]),
    ],
)
def test_completion_knows_verbs_options_recipes_and_studies(typed: str, expected: list[str]) -> None:
    code = "from mlffm_segdiff.cli import main; main([])"
    position = str(len(typed.split()) - 1)
    found = in_new_process(
        code, _MLFFM_SEGDIFF_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=position
    )
    assert found.split() == expected


def test_completion_in_bash_itself(tmp_path: Path) -> None:
    """The script that bash reads, with the command it calls on the path."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    command = Path(sys.executable).with_name("mlffm-segdiff")
    script = (
        f'eval "$(_MLFFM_SEGDIFF_COMPLETE=source_bash {command})"\n'
        "COMP_WORDS=(mlffm-segdiff pre) COMP_CWORD=1\n"
        f'_mlffm_segdiff_completion {command}; echo "${{COMPREPLY[@]}}"'
    )
    assert (
        subprocess.run([bash, "-c", script], check=True, text=True, capture_output=True).stdout == "predict\n"
    )


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("predict a.png -o out --model mine", "did you mean --weights?"),
        ("predict a.png -o out --checkpoint mine", "did you mean --weights?"),
        ("predict --images a.png -o out", "did you mean --input?"),
        ("predict a.png --out out", "did you mean --output?"),
        ("predict a.png -o out --batch 4", "did you mean --batch-size?"),
        ("train isic2018 --input data", "did you mean --source?"),
        ("train isic2018 --output runs/mine", "did you mean --run?"),
        ("train isic2018 --size 256", "did you mean data.size=VALUE?"),
        ("train isic2018 --batch 8", "did you mean train.batch_size=VALUE?"),
        ("train isic2018 --lr 0.1", "did you mean train.learning_rate=VALUE?"),
        ("evaluate default -o out --steps 4", "did you mean sampling.steps=VALUE?"),
        ("evaluate -o out --model mine", "did you mean the argument [RUN|WEIGHTS]?"),
        ("compare --pred a --truth b -o c", "did you mean --masks?"),
        ("predict a.png -o out --overlay", "did you mean -w overlay?"),
        ("predict a.png -o out --overlays", "did you mean -w overlay?"),
        ("predict a.png -o out --contours", "did you mean -w contours?"),
        ("predict a.png -o out --tta", "did you mean sampling.mirror=true?"),
        ("predict a.png -o out --mirror", "did you mean sampling.mirror=true?"),
        ("train isic2018 --sampler ddpm", "did you mean sampling.sampler=VALUE?"),
        ("segment a.png -o out", "no such command segment; did you mean predict?"),
        ("test runs/mine", "no such command test; did you mean evaluate?"),
        ("predict a.png -o out --threads", "see mlffm-segdiff predict --help"),
        ("export default -o out --format tflite", "Invalid value for '--format': 'tflite' is not one of"),
    ],
)
def test_options_of_other_tools_name_the_option_here(command: Command, line: str, hint: str) -> None:
    status, out, err = command(*line.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert hint in err


def test_formats_are_chosen_in_any_case(command: Command, tmp_path: Path) -> None:
    formats = "-w probability --maps NPY --table Parquet --runtime ONNX --precision FLOAT32"
    status, _, err = command("predict", tmp_path, "-o", "out", *formats.split())
    assert (status, "no images directly in" in err) == (2, True)
