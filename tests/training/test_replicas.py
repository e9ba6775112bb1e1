"""Two processes train as one does: the same draws, gradients to rounding, and runs that resume on either."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor, distributed

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe, TrainConfig
from mlffm_segdiff.data.batch import ONLY, Replica
from mlffm_segdiff.data.sources import load_split_cases
from mlffm_segdiff.training.fit import TrainingData, resume, train
from mlffm_segdiff.training.module import update_weights
from mlffm_segdiff.training.replicas import LostProcessError, explained_errors, this_replica
from mlffm_segdiff.training.run_folder import RunFolder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL, and other process groups")
SCRIPT = Path(__file__).with_name("two_processes.py")
PATIENCE = 280
"""Seconds for two processes to start on a busy machine, and to train."""
CPU = torch.device("cpu")
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}
SLURM = {
    "SLURM_NTASKS": "4",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_JOB_NAME": "x",
    "SLURM_NODEID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_PROCID": "0",
}


def two_processes() -> ModuleType:
    spec = spec_from_file_location("two_processes", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["two_processes"] = module
    spec.loader.exec_module(module)
    return module


ALONE = two_processes()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """What each of two processes learned."""
    folder = tmp_path_factory.mktemp("together")
    command = [sys.executable, str(SCRIPT), str(folder)]
    both = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(2)]
    errors = [process.communicate(timeout=PATIENCE)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    return [torch.load(folder / f"{number}.pt", weights_only=True) for number in range(2)]


@pytest.mark.parametrize("kind", ALONE.KINDS)
def test_gradients_of_two_parts_are_those_of_the_whole_batch(
    kind: str, together: list[dict[str, dict[str, Tensor]]]
) -> None:
    """In double precision, but for the region loss."""
    expected = ALONE.learned(kind)
    for found in together:
        assert set(found[kind]) == set(expected)
        for name, value in expected.items():
            error = float((found[kind][name] - value).abs().max())
            assert error <= 1e-5 * max(float(value.abs().max()), 0.1), name


@pytest.fixture(scope="module")
def recipe_of_runs(make_recipe: Callable[..., Recipe]) -> Recipe:
    """By SGD, as AdamW moves a weight whose gradient is only rounding as far as any other."""
    keys = {"images": 96, "validate_every": 24, "optimizer": "sgd", "learning_rate": 0.003, "warmup": 0}
    return make_recipe(data={"synthetic_count": 30}, train={**keys, "clip": 12, "logger": ["csv"]})


@pytest.fixture(scope="module")
def alone(recipe_of_runs: Recipe, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run in one process, never interrupted."""
    return RunFolder(train(recipe_of_runs, tmp_path_factory.mktemp("alone") / "run").run)


PROGRAM = """
import os, signal, sys
from mlffm_segdiff.cli import main
from mlffm_segdiff.training import module

deadline, kept, steps = {deadline}, module.update_weights, []

def deadly(*arguments):
    steps.append(None)
    if len(steps) == deadline and os.environ.get("LOCAL_RANK", "0") == "{victim}":
        os.kill(os.getpid(), {number})
    return kept(*arguments)

module.update_weights = deadly
main()
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """A program that is stopped with all that it started when the test ends."""
    running = []

    def start(*command: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def rows(folder: RunFolder) -> list[dict[str, float]]:
    with folder.metrics.open() as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def assert_same_run(folder: RunFolder, expected: RunFolder) -> None:
    """Losses, scores and weights to rounding; a pixel at the threshold may be on either side of it."""
    found, log = rows(folder), rows(expected)
    assert [row.keys() for row in found] == [row.keys() for row in log]
    for one, other in zip(found, log, strict=True):
        for name, value in other.items():
            assert one[name] == pytest.approx(value, rel=2e-3 if "jaccard" in name else 1e-4), name
    weights: list[Mapping[str, Tensor]] = [
        load_file(each.weights / "model.safetensors") for each in (folder, expected)
    ]
    for name, value in weights[1].items():
        torch.testing.assert_close(weights[0][name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.timeout(2 * PATIENCE)
def test_a_run_in_two_processes_is_that_in_one(
    recipe_of_runs: Recipe, alone: RunFolder, tmp_path: Path, started: Callable[..., "subprocess.Popen[str]"]
) -> None:
    RunFolder(tmp_path / "recipe").write_config(recipe_of_runs)
    recipe, run = tmp_path / "recipe" / "config.yaml", RunFolder(tmp_path / "run")
    process = started("-m", "mlffm_segdiff", "train", recipe, "--run", run.path, "train.devices=2")
    printed, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, error) == (0, "")
    assert printed.count("validation Jaccard") == 4 + 1  # by the first process, and the best at the end
    assert printed.count("run folder: ") == 1
    assert_same_run(run, alone)


@pytest.mark.timeout(2 * PATIENCE)
@pytest.mark.parametrize(
    ("number", "victim"), [(signal.SIGKILL, 0), (signal.SIGKILL, 1), (signal.SIGTERM, 0)]
)
def test_a_killed_process_ends_both_and_one_resumes_the_run(
    number: signal.Signals,
    victim: int,
    recipe_of_runs: Recipe,
    alone: RunFolder,
    tmp_path: Path,
    started: Callable[..., "subprocess.Popen[str]"],
) -> None:
    """Killed in step 9 of 24, after the validation of step 6."""
    RunFolder(tmp_path / "recipe").write_config(recipe_of_runs)
    program, run = tmp_path / "program.py", RunFolder(tmp_path / "run")
    program.write_text(PROGRAM.format(deadline=9, number=int(number), victim=victim))
    recipe = tmp_path / "recipe" / "config.yaml"
    process = started(program, "train", recipe, "--run", run.path, "train.devices=2")
    _, error = process.communicate(timeout=PATIENCE)  # ends when both have closed standard error
    if number == signal.SIGTERM:
        resumed_by = f"mlffm-segdiff train --resume --run {run.path}"
        assert (process.returncode, error) == (143, f"stopped; resume with: {resumed_by}\nterminated\n")
    elif victim == 0:
        assert (process.returncode, error) == (-signal.SIGKILL, "")
    else:  # Lightning kills the first process if it has not ended by itself within 5 seconds
        assert process.returncode in (1, -signal.SIGKILL)
        assert "rocess of the training ended" in error or "Child process with PID" in error
        assert "Traceback" not in error
    assert torch.load(run.last, weights_only=True)["global_step"] == 6
    resume(run.path, overrides=["train.devices=1"])
    assert_same_run(run, alone)


@pytest.mark.timeout(2 * PATIENCE)
def test_a_training_that_diverges_says_so_once(
    recipe_of_runs: Recipe, tmp_path: Path, started: Callable[..., "subprocess.Popen[str]"]
) -> None:
    RunFolder(tmp_path / "recipe").write_config(recipe_of_runs)
    recipe, rate = tmp_path / "recipe" / "config.yaml", ("train.learning_rate=10", "train.clip=1e9")
    process = started(
        "-m", "mlffm_segdiff", "train", recipe, "--run", tmp_path / "run", "train.devices=2", *rate
    )
    _, error = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in error
    if process.returncode != -signal.SIGKILL:  # by Lightning, if the second process ended 5 seconds earlier
        assert process.returncode == 2
        assert error.count("the training diverged") == 1, error
    assert error.count("the training diverged") <= 1


class InterruptedRunError(Exception):
    pass


@pytest.mark.timeout(2 * PATIENCE)
def test_a_run_of_one_process_is_resumed_by_torchrun_in_two(
    recipe_of_runs: Recipe,
    alone: RunFolder,
    tmp_path: Path,
    started: Callable[..., "subprocess.Popen[str]"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patch:
        steps = iter(range(9))

        def failing(*arguments: Any) -> Tensor:
            if next(steps, None) is None:
                raise InterruptedRunError
            return update_weights(*arguments)

        patch.setattr("mlffm_segdiff.training.module.update_weights", failing)
        with pytest.raises(InterruptedRunError):
            train(recipe_of_runs, run.path)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    process = started(
        *torchrun, "-m", "mlffm_segdiff", "--", "train", "--resume", "--run", run.path, "train.devices=2"
    )
    printed, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, error
    assert printed.count("run folder: ") == 1
    assert_same_run(run, alone)


@pytest.fixture
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide how these tests were started, and undo what Lightning keeps of the process."""
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    for name in (*TORCHRUN, *SLURM, "LOCAL_RANK", "NODE_RANK", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_batch_has_as_many_images_for_each_device() -> None:
    assert TrainConfig(batch_size=12, devices=3, nodes=2).processes == 6
    with pytest.raises(ValidationError, match="batch_size=16: make it a multiple of 6 devices"):
        TrainConfig(devices=3, nodes=2)


@pytest.mark.usefixtures("_no_launcher")
def test_processes_are_those_that_lightning_will_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["program.py"])
    assert this_replica(TrainConfig(), CPU) == ONLY
    assert this_replica(TrainConfig(devices=2), CPU) == (0, 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert this_replica(TrainConfig(devices=2), CPU) == (1, 2)
    monkeypatch.setenv("NODE_RANK", "1")
    assert this_replica(TrainConfig(devices=2, nodes=2), CPU) == (3, 4)


@pytest.mark.usefixtures("_no_launcher")
def test_threads_are_divided_among_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["program.py"])
    torch.set_num_threads(4)
    for _ in range(2):
        this_replica(TrainConfig(devices=2), CPU)
        assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("_no_launcher")
@pytest.mark.parametrize(
    ("settings", "device", "variables", "says"),
    [
        ({"devices": 2}, "cuda:1", {}, "cuda:1 is one device, not train.devices=2; use --device cuda"),
        ({}, "cpu", TORCHRUN, "torchrun started 2 processes, but .* is 1"),
        ({"devices": 4}, "cpu", TORCHRUN, "started 2 .* is 4; make them"),
        ({"devices": 2}, "cpu", SLURM, "ntasks-per-node=4` does not match.*; correct these"),
        ({"devices": 2}, "mps", {}, "no training on train.devices=2 and train.nodes=1 .*; correct these"),
        ({"devices": 2}, "cpu", {}, "runs the calling program once per device; run it from a file"),
        ({"nodes": 2}, "cpu", {}, r"train\.nodes=2 needs srun or torchrun"),
        ({"nodes": 2}, "cpu", {"NODE_RANK": "1"}, r"train\.nodes=2 needs srun or torchrun"),
    ],
)
def test_processes_that_cannot_be_are_refused(
    settings: dict[str, int],
    device: str,
    variables: dict[str, str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["-c" if "devices" in settings else "program.py"])
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=says):
        this_replica(TrainConfig(**settings), torch.device(device))


def test_only_the_numbers_of_devices_can_change(finished: RunFolder) -> None:
    with pytest.raises(UserError, match=r"was started with train\.images=400, not 800"):
        resume(finished.path, overrides=["train.images=800"])


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (
            RuntimeError("[gloo/transport/tcp/pair.cc:537] Read error"),
            LostProcessError,
            "ended.*--run runs/a$",
        ),
        (distributed.DistNetworkError("failed to connect"), LostProcessError, "cannot be reached"),
        (
            RuntimeError("Expected to have finished reduction in the prior iteration before starting"),
            UserError,
            "parameters that its loss does not use",
        ),
        (RuntimeError("shapes differ"), RuntimeError, "shapes differ"),
    ],
)
def test_errors_of_several_devices_are_explained(error: Exception, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says), explained_errors(Path("runs/a")):
        raise error


def test_every_process_needs_a_validation_image(recipe: Recipe) -> None:
    """Of 20 synthetic cases 2 are for validation."""
    with pytest.raises(UserError, match="2 validation images for 4 devices, and each needs one"):
        TrainingData(recipe, load_split_cases(recipe.data), Replica(0, 4))
