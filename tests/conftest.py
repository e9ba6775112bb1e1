"""Settings of every test: the same examples and weights, one thread, no network, no user's cache."""

import faulthandler
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads OpenMP

import torch

from mlffm_segdiff.cli.app import run
from mlffm_segdiff.data.synthetic import write_folder
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.pretrained import save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

Command = Callable[..., tuple[int, str, str]]
MakeWeights = Callable[..., Path]
MakeLesions = Callable[[int], Path]
STANDARD_ERROR = pytest.StashKey[int]()

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("repeatable")

if os.name == "nt":  # these send POSIX signals, limit resources, or read /proc
    collect_ignore = [
        "cli/test_killed_predict.py",
        "cli/test_serve.py",
        "fuzz",
        "inference/shards/test_ray.py",
        "inference/test_large.py",
        "kill",
        "study/launchers",
        "study/test_kill.py",
        "training/test_resume.py",
    ]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--start-method",
        choices=multiprocessing.get_all_start_methods(),
        help="how worker processes start; spawn is the default of Windows and macOS",
    )


def pytest_configure(config: pytest.Config) -> None:
    if chosen := config.getoption("--start-method"):
        multiprocessing.set_start_method(chosen)
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        config.stash[STANDARD_ERROR] = os.dup(2)


@pytest.fixture(autouse=True)
def _crash_names_its_test(request: pytest.FixtureRequest) -> None:
    """Let a crash print its stack even after a training in this process: Lightning resets signal handlers."""
    faulthandler.disable()
    faulthandler.enable(request.config.stash[STANDARD_ERROR])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Use one thread, in shared fixtures too: networks as small as these only wait for a second one."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_weights_each_time() -> None:
    """Start the random numbers of torch at the same seed."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_log() -> None:
    """Start with the log as it is: a quiet command, also one of a fixture that others share, silences it."""
    log = logging.getLogger("mlffm_segdiff")
    log.setLevel(logging.NOTSET)
    log.handlers = []


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Decoded pairs and synthetic sets go to a folder of this session, shared by its tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("MLFFM_SEGDIFF_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> MakeWeights:
    """Folders of untrained weights: untrained(recipe, *overrides)."""

    def make(name: str, *overrides: str) -> Path:
        recipe = load_recipe(name, overrides)
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("weights")
        save_segmenter(build_segmenter(recipe), recipe, folder)
        return folder

    return make


@pytest.fixture(scope="session")
def made_lesions(tmp_path_factory: pytest.TempPathFactory) -> MakeLesions:
    """Folders of synthetic pairs at 48 x 48, as the data set `folder` has them: made_lesions(count)."""

    def make(count: int) -> Path:
        folder = tmp_path_factory.mktemp("made") / "lesions"
        write_folder(folder, count, 48, seed=3)
        return folder

    return make


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process: command(*arguments) returns status, standard output and error."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        status = run([str(argument) for argument in arguments])
        return status, *capfd.readouterr()

    return call
