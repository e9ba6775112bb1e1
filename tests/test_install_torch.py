"""Which wheel of torch tools/install_torch.py takes, by pip's plan without network and configuration."""

import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.specifiers import SpecifierSet

SCRIPT = Path(__file__).parents[1] / "tools" / "install_torch.py"
VERSION = "2.13.0"
PLAIN = {"torch": VERSION, "nvidia-cudnn-cu13": "9.0"}
CPU = {"torch": f"{VERSION}+cpu"}

Plan = Callable[[], tuple[dict[str, str], str]]


def write_wheel(folder: Path, name: str, version: str, *needs: str) -> None:
    """Write an empty wheel, and list it as an index does."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    with ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", "\n".join(["Metadata-Version: 2.1", *metadata]))
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    links = [f'<a href="{path.name.replace("+", "%2B")}">{path.name}</a>' for path in folder.glob("*.whl")]
    (folder / "index.html").write_text("\n".join(["<!DOCTYPE html>", *links]))


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Names of the script on Linux without a GPU or an installed torch; PyPI has the plain wheel only."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "pypi").as_uri())
    write_wheel(tmp_path / "pypi" / "torch", "torch", VERSION, "nvidia-cudnn-cu13")
    write_wheel(tmp_path / "pypi" / "nvidia-cudnn-cu13", "nvidia-cudnn-cu13", "9.0")
    monkeypatch.setattr(sys, "platform", "linux")
    found = runpy.run_path(str(SCRIPT))
    main = found["main"]
    assert isinstance(main, FunctionType)
    replaced = {
        "has_nvidia_gpu": lambda: False,
        "installed_version": lambda: None,
        "CPU_INDEX": (tmp_path / "cpu").as_uri(),
    }
    main.__globals__.update(replaced)
    return main.__globals__


@pytest.fixture
def plan(script: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Plan:
    """Return the packages that would be installed, and what the script printed."""

    def call() -> tuple[dict[str, str], str]:
        report = tmp_path / "report.json"
        options = ["--dry-run", "--ignore-installed", "--report", str(report)]
        assert script["main"](options) == 0
        planned = [one["metadata"] for one in json.loads(report.read_text())["install"]]
        return {one["name"]: one["version"] for one in planned}, capfd.readouterr().out

    return call


def test_a_cpu_build_that_pip_is_set_up_to_find_comes_first(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(tmp_path / "wheels", "torch", f"{VERSION}+cpu")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    assert plan() == (CPU, f"torch {VERSION}: CPU build, from where pip is set up to look\n")


def test_otherwise_pytorchs_index_is_asked_for_torch_only(plan: Plan, tmp_path: Path) -> None:
    write_wheel(tmp_path / "cpu" / "torch", "torch", f"{VERSION}+cpu", "nvidia-cudnn-cu13")
    write_wheel(tmp_path / "cpu" / "nvidia-cudnn-cu13", "nvidia-cudnn-cu13", "9.9")
    found, printed = plan()
    assert found == CPU
    assert printed == f"torch {VERSION}: CPU build, from {(tmp_path / 'cpu').as_uri()}\n"


def test_without_any_cpu_build_the_plain_wheel_is_taken(plan: Plan) -> None:
    found, printed = plan()
    assert found == PLAIN
    assert printed.startswith(f"torch {VERSION}: the build that pip finds, as no CPU build was found")


@pytest.mark.parametrize(
    ("system", "gpu", "message"),
    [
        ("linux", True, "the build that pip finds, for the NVIDIA GPU"),
        ("win32", False, "the build that pip finds"),
        ("darwin", False, "the build that pip finds"),
    ],
)
def test_with_a_gpu_or_elsewhere_the_plain_wheel_is_taken(
    system: str, gpu: bool, message: str, script: dict[str, Any], plan: Plan, tmp_path: Path
) -> None:
    write_wheel(tmp_path / "cpu" / "torch", "torch", f"{VERSION}+cpu")
    script["has_nvidia_gpu"] = lambda: gpu
    script["sys"] = SimpleNamespace(platform=system, executable=sys.executable)
    found, printed = plan()
    assert found == PLAIN
    assert printed.splitlines()[0] == f"torch {VERSION}: {message}"


def test_a_torch_of_this_version_stays(script: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    script["installed_version"] = lambda: f"{VERSION}+cu130"
    script["pip_install"] = lambda *_, **__: pytest.fail("pip was called")
    assert script["main"]([]) == 0
    assert capfd.readouterr().out == f"torch {VERSION}+cu130 is installed already\n"


def test_the_constraint_accepts_every_build() -> None:
    """So `pip install -c constraints.txt .` keeps the build that the script installed."""
    assert {f"{VERSION}+cpu", f"{VERSION}+cu130", VERSION} == set(
        SpecifierSet(f"=={VERSION}").filter([f"{VERSION}+cpu", f"{VERSION}+cu130", VERSION, "2.14.0"])
    )
