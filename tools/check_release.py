"""Check the wheel and the sdist of a release: check_release.py DIST [PIP_OPTION ...]

DIST is what `python -m build` wrote. The wheel is installed into a new virtual environment, with the extras
of the image in Dockerfile and with the PIP_OPTIONs, after PyTorch by tools/install_torch.py. There
`demo`, `predict` and `serve` run with the variables, command and health check of Dockerfile. If root calls
this, they run as an unprivileged user, who can write to one folder only and must be able to read this Python.
Needs Linux or macOS.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "mlffm_segdiff"
PAGES = {"README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE"}
SDIST = PAGES | {"src", "pyproject.toml", "PKG-INFO", ".gitignore"}
SAMPLE = PACKAGE / "samples" / "sample_1.png"
NOBODY = 65534
START_SECONDS = 120
STOP_SECONDS = 60


def main(dist: str, *pip_options: str) -> None:
    """Check the files in DIST."""
    (wheel,), (sdist,) = Path(dist).glob("*.whl"), Path(dist).glob("*.tar.gz")
    check_contents(wheel, sdist)
    variables, serve, health, extras = image_settings((ROOT / "Dockerfile").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        commands = install(wheel.resolve(), Path(folder, "venv"), extras, pip_options)
        writable = Path(folder, "tmp")
        writable.mkdir()
        shutil.copy(SAMPLE, writable)
        sandbox = Sandbox(commands, writable, variables)
        version = wheel.name.split("-")[1]
        if sandbox.run("mlffm-segdiff", "--version") != f"mlffm-segdiff {version}\n":
            raise ValueError(f"the command does not have the version {version} of the wheel")
        sandbox.run("mlffm-segdiff", "demo", "-o", "demo")
        sandbox.run("mlffm-segdiff", "predict", "-i", SAMPLE.name, "-o", "predicted")
        check_server(sandbox, serve, health)
    print(f"{wheel.name} and {sdist.name} are complete; demo, predict and serve work")


def check_contents(wheel: Path, sdist: Path) -> None:
    """Raise ValueError if the wheel does not have exactly the package and its licence, or the sdist SDIST."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    expected = {path.relative_to(PACKAGE.parent).as_posix() for path in files}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        licensed = any(name.endswith(".dist-info/licenses/LICENSE") for name in archive.namelist())
    if packed != expected or not licensed:
        raise ValueError(f"{wheel}: differs in {sorted(packed ^ expected) or 'the licence'}")
    with tarfile.open(sdist) as source:
        top = {name.split("/")[1] for name in source.getnames() if "/" in name}
    if top != SDIST:
        raise ValueError(f"{sdist}: differs in {sorted(top ^ SDIST)}")


def image_settings(dockerfile: str) -> tuple[dict[str, str], list[str], list[str], str]:
    """Return variables, command, health check and extras of the image."""
    text = re.sub(r"\\\n\s*", "", dockerfile)
    final = text[text.rindex("\nFROM ") :]
    (env,) = re.findall(r"^ENV (.*)$", final, re.MULTILINE)
    (health,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", final, re.MULTILINE)
    (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])$", final, re.MULTILINE)
    (command,) = re.findall(r"^CMD (\[.*\])$", final, re.MULTILINE)
    (extras,) = re.findall(r"'\.(\[[\w,]+\])'", text)
    variables = dict(pair.split("=", 1) for pair in env.split())
    return variables, json.loads(entry) + json.loads(command), json.loads(health), extras


def install(wheel: Path, venv: Path, extras: str, options: Sequence[str]) -> Path:
    """Install the wheel into a new virtual environment and return the folder of its commands."""
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin" / "python", ROOT / "tools" / "install_torch.py", *options], check=True)
    pip = [venv / "bin" / "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", *options]
    subprocess.run([*pip, f"{wheel}{extras}"], check=True)
    return venv / "bin"


class Sandbox:
    """Runs installed commands outside the checkout, with the variables of the image.

    Args:
        commands: Folder of the commands.
        writable: Folder that takes the place of the image's /tmp.
        variables: Environment variables of the image.
    """

    def __init__(self, commands: Path, writable: Path, variables: dict[str, str]) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        own = {key: value.replace("/tmp", str(writable)) for key, value in variables.items()}
        path = os.pathsep.join([str(commands), os.environ["PATH"]])
        self._commands = commands
        self._how: dict[str, Any] = {
            "cwd": writable,
            "env": kept | own | {"PATH": path, "TMPDIR": str(writable)},
            "stdout": subprocess.PIPE,
            "encoding": "utf-8",
        }
        if os.geteuid() == 0:
            os.chown(writable, NOBODY, NOBODY)
            self._how |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    def start(self, command: str, *arguments: str, errors: int | None = None) -> subprocess.Popen[str]:
        """Start a command; `errors` is the standard error of `subprocess.Popen`."""
        return subprocess.Popen([self._commands / command, *arguments], stderr=errors, **self._how)

    def run(self, command: str, *arguments: str) -> str:
        """Run a command and return its standard output. Raises CalledProcessError if it fails."""
        with self.start(command, *arguments) as process:
            output, _ = process.communicate()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command, output)
        return output


def check_server(sandbox: Sandbox, serve: Sequence[str], health: Sequence[str]) -> None:
    """Start the server, wait for its health check, request a mask, and stop it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    serve, health = ([argument.replace("8000", port) for argument in one] for one in (serve, health))
    with sandbox.start(*serve) as server:
        try:
            wait_until_healthy(sandbox, health)
            url = f"http://127.0.0.1:{port}/api/v1/segment?format=png"
            request = Request(url, SAMPLE.read_bytes(), {"Content-Type": "image/png"})
            with urlopen(request, timeout=START_SECONDS) as response:
                if not response.read().startswith(b"\x89PNG"):
                    raise ValueError("the server's mask is not a PNG image")
        finally:
            server.terminate()
            server.wait(STOP_SECONDS)


def wait_until_healthy(sandbox: Sandbox, health: Sequence[str]) -> None:
    """Repeat the health check until it passes. Raises TimeoutError after START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with sandbox.start(*health, errors=subprocess.DEVNULL) as check:
            if check.wait() == 0:
                return
        time.sleep(1)
    raise TimeoutError("the server does not pass its health check")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
