"""Install the pinned PyTorch, without an NVIDIA GPU as its CPU build: install_torch.py [PIP OPTION ...]

On Linux, PyPI's wheel of torch is a CUDA build of several gigabytes; on Windows and macOS it is a CPU build.
Needs only Python and pip, and installs into the environment of the Python that runs it.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def main(options: Sequence[str]) -> int:
    """Install torch from the first source that has it and return pip's exit status.

    Args:
        options: Options of ``pip install``, such as --dry-run.
    """
    version = pinned_version()
    if (installed := installed_version()) and installed.partition("+")[0] == version:
        print(f"torch {installed} is installed already")
        return 0
    *first, last = sources(version)
    for name, arguments in first:
        if not pip_install([*arguments, *options], quietly=True):
            print(f"torch {version}: {name}")
            return 0
    name, arguments = last
    print(f"torch {version}: {name}", flush=True)
    return pip_install([*arguments, *options], quietly=False)


def sources(version: str) -> Iterator[tuple[str, list[str]]]:
    """Yield what to try in turn: a description and the arguments of ``pip install``.

    PyTorch's index is asked for torch only: as an extra index it could answer for every package.
    """
    if sys.platform != "linux":
        yield "the build that pip finds", [f"torch=={version}"]
    elif has_nvidia_gpu():
        yield "the build that pip finds, for the NVIDIA GPU", [f"torch=={version}"]
    else:
        cpu_build = f"torch=={version}+cpu"
        yield "CPU build, from where pip is set up to look", [cpu_build]
        yield f"CPU build, from {CPU_INDEX}", [cpu_build, "--no-deps", "--index-url", CPU_INDEX]
        yield (
            "the build that pip finds, as no CPU build was found",
            [f"torch=={version}"],
        )


def has_nvidia_gpu() -> bool:
    """Return whether an NVIDIA driver is there."""
    return NVIDIA_DRIVER.exists() or shutil.which("nvidia-smi") is not None


def pinned_version() -> str:
    """Return the version of torch in constraints.txt."""
    found = re.search(r"^torch==(\S+)$", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{CONSTRAINTS} has no line torch==VERSION"
    return found[1]


def installed_version() -> str | None:
    """Return the version of the installed torch, if there is one."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None


def pip_install(arguments: Sequence[str], quietly: bool) -> int:
    """Run ``pip install`` and return its exit status; ``quietly`` hides its messages."""
    output = subprocess.DEVNULL if quietly else None
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *arguments]
    return subprocess.run(command, stdout=output, stderr=output).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
