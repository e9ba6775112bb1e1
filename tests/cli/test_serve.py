import errno
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from mlffm_segdiff.inference import model
from mlffm_segdiff.serve import app, run
from mlffm_segdiff.serve.limits import Limits

Command = Callable[..., tuple[int, str, str]]
SERVE = "import sys; from mlffm_segdiff.cli import main; main(sys.argv[1:])"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_verb_serves_until_it_is_stopped(trained: Path, number: int) -> None:
    options = (
        "serve",
        "--port",
        "0",
        "--weights",
        str(trained),
        "--threads",
        "1",
        "--max-mb",
        "1",
        "sampling.samples=2",
        "sampling.steps=2",
    )
    command = [sys.executable, "-c", SERVE, *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"serving on (http://127\.0\.0\.1:\d+/) \(Ctrl-C stops\)\n", line)
        assert found is not None
        reported = httpx2.get(f"{found[1]}api/v1/about", timeout=60).json()
        assert (reported["weights"], reported["size"], reported["most_bytes"]) == (str(trained), 32, 2**20)
        assert reported["sampling"]["steps"] == 2
        assert httpx2.get(found[1], headers={"Host": "elsewhere.example"}, timeout=60).status_code == 403
        process.send_signal(number)
        assert process.wait(60) == 0


def test_an_unknown_host_is_reported_in_one_line(command: Command) -> None:
    status, _, error = command("serve", "--host", "no-such-host.invalid")
    assert status == 2
    assert error.startswith("error: no-such-host.invalid port 8000 cannot be served")
    assert error.count("\n") == 1


def test_a_port_in_use_is_reported_in_one_line(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, error = command("serve", "--port", str(port))
    assert status == 2
    assert error.startswith(f"error: 127.0.0.1 port {port} cannot be served (Address already in use")
    assert error.count("\n") == 1


def test_a_server_for_the_network_without_keys_is_reported(
    command: Command, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("0123456789abcdef\n")
    monkeypatch.setattr(run, "serve_app", lambda _, listening, *__: listening.close())
    network = ("--host", "0.0.0.0")
    for options, warned in ((network, True), ((*network, "--api-key-file", str(keys)), False), ((), False)):
        status, _, error = command("serve", "--port", "0", "--weights", str(trained), *options)
        assert (status, "anyone who can reach 0.0.0.0" in error) == (0, warned)


def test_the_number_format_is_chosen_for_the_batches_of_the_server(
    command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    monkeypatch.setattr(run, "serve_app", lambda _, listening, *__: listening.close())
    monkeypatch.setattr(
        model, "measured_precision", lambda _, image, __: measured.append(len(image)) or "float32"
    )
    options = ("--precision", "auto", "--batch-size", "3")
    assert command("serve", "--port", "0", "--weights", str(trained), *options)[0] == 0
    assert measured == [3]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[Limits]:
    """The limits of each server that would have been started."""
    found: list[Limits] = []
    monkeypatch.setattr(run, "serve_app", lambda _, listening, *__: listening.close())
    monkeypatch.setattr(app, "create_app", lambda *given: found.append(given[3]))
    return found


def test_the_defaults_are_those_of_a_server_started_in_python(
    command: Command, trained: Path, limits: list[Limits]
) -> None:
    assert command("serve", "--port", "0", "--weights", str(trained))[0] == 0
    assert limits == [Limits()]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--api-key-file",
            "the API keys in missing cannot be read (No such file or directory); see --api-key-file",
        ),
        (
            "--tls-cert",
            "the TLS certificate missing cannot be used ([Errno 2] No such file or directory); give PEM "
            "files without a password as --tls-cert and --tls-key",
        ),
        ("--tls-key", "--tls-key needs --tls-cert; give the certificate too"),
    ],
)
def test_wrong_keys_and_certificates_are_reported_in_one_line(
    command: Command, option: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("serve", "--port", "0", option, "missing") == (2, "", f"error: {message}\n")


def test_a_missing_file_of_keys_named_by_the_variable_is_reported_in_one_line(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFFM_SEGDIFF_API_KEY_FILE", "missing")
    status, _, error = command("serve", "--port", "0")
    assert (status, error.count("\n")) == (2, 1)
    assert error.startswith("error: the API keys in missing cannot be read")


def test_the_memory_of_all_uploads_holds_the_largest_request(
    command: Command, trained: Path, limits: list[Limits]
) -> None:
    """The total is at least --max-mb by default; a smaller one that is given is refused."""
    start = ("serve", "--port", "0", "--weights", str(trained), "--max-mb", "600")
    assert command(*start)[0] == 0
    assert (limits[0].body_bytes, limits[0].total_bytes) == (600 * 2**20, 600 * 2**20)
    status, _, error = command(*start, "--max-total-mb", "599")
    assert (status, error.count("\n")) == (2, 1)
    assert error.startswith("error: --max-total-mb 599 is less than --max-mb 600")


@pytest.mark.parametrize(
    "options", [("--trust-proxy", "localhost"), ("--allow-host", "https://x"), ("--max-jobs", "0")]
)
def test_options_that_could_never_work_are_refused(command: Command, options: tuple[str, str]) -> None:
    status, _, error = command("serve", "--port", "0", "--weights", "no-such-weights", *options)
    assert (status, options[0] in error) == (2, True)


def test_a_missing_folder_for_temporary_files_is_reported_in_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "gettempdir", missing)
        status, _, error = command("serve", "--port", "0", "--weights", "no-such-weights")
    assert (status, error.count("\n"), "TMPDIR" in error) == (2, 1, True)
