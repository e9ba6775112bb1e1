"""Shards made on clusters of one and two machines, all of them here, equal those made in one process.

Ray is not imported into the process of the tests.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.machines import SECONDS, SETTINGS, local_cluster
from folder_content import file_content

SOURCE = Path(__file__).parents[3] / "src"
IMAGES, SIZE = 30, 3

pytestmark = [pytest.mark.timeout(SECONDS), pytest.mark.slow]


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in SETTINGS.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def photos(tmp_path: Path, photo: Any, save: Any) -> Path:
    """Images, one of which is damaged, and one empty."""
    for number in range(IMAGES):
        save(tmp_path / "photos" / f"{number:02}.png", photo(number))
    damaged = tmp_path / "photos" / "04.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    (tmp_path / "photos" / "20.png").write_bytes(b"")
    return tmp_path / "photos"


@pytest.fixture
def start(photos: Path, tiny_weights: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the command: start(name of the output folder, *options)."""
    started = []

    def launch(output: str, *options: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "mlffm_segdiff", "predict", "photos", "-o", output, "--json"]
        shards = [
            "--shards",
            "tar",
            "--shard-size",
            str(SIZE),
            "--weights",
            str(tiny_weights),
            "--threads",
            "1",
        ]
        process = subprocess.Popen(
            [*command, *shards, "--threads", "1", *options],
            cwd=photos.parent,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def finish(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Return the printed result; two images failed."""
    printed, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1, errors
    result: dict[str, Any] = json.loads(printed)
    return result


def wait_for_shards(folder: Path, count: int, process: "subprocess.Popen[str]") -> None:
    while len(list(folder.glob("shards/0*.tar"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def worker_processes(mark: bytes) -> list[int]:
    """Return the processes of actors of this test, by a folder in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (
                b"ray::MapWorker" in (process / "cmdline").read_bytes()
                and mark in (process / "environ").read_bytes()
            ):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_shards_are_the_same_though_an_actor_a_machine_and_the_command_are_killed(
    start: Callable[..., Any], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = photos.parent
    wanted = finish(start("local"))
    assert (wanted["images"], wanted["failed"], wanted["shards"]) == (IMAGES, 2, IMAGES // SIZE)
    monkeypatch.setenv("SHARDS_RAY_TEST", str(out))
    with local_cluster(0, 1, 1) as (address, lose_one):
        options = ("--engine", "ray", "--address", address, "--workers", "2")
        first = start("ray", *options)
        wait_for_shards(out / "ray", 2, first)
        os.kill(worker_processes(str(out).encode())[0], signal.SIGKILL)
        wait_for_shards(out / "ray", 4, first)
        lose_one()
        wait_for_shards(out / "ray", 6, first)
        first.kill()
        first.communicate()
        made = {path: path.stat().st_mtime_ns for path in (out / "ray" / "shards").glob("0*.tar")}
        again = finish(start("ray", *options))
    assert {**again, "output": "local", "table": "local/predictions.csv"} == wanted
    assert file_content(out / "ray") == file_content(out / "local")
    assert len(made) < IMAGES // SIZE, "the command was killed before its end"
    assert {path: path.stat().st_mtime_ns for path in made} == made, "finished shards are not made again"


def test_a_cluster_of_this_machine_ends_with_the_command(start: Callable[..., Any], photos: Path) -> None:
    finish(start("local"))
    finish(start("ray", "--engine", "ray", "--address", "local", "--workers", "2"))
    assert file_content(photos.parent / "ray") == file_content(photos.parent / "local")


def test_what_no_machine_has_room_for_is_refused(start: Callable[..., Any]) -> None:
    process = start("ray", "--engine", "ray", "--address", "local", "--gpus", "7")
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert "no machine of the Ray cluster has room for a worker with 1 CPUs and 7 GPUs" in errors
