"""Predict drawn images in one process and on Ray with losses, and compare: cluster_job.py FOLDER SIZE ...

For each number of images, `predict --shards tar` runs in one process and then on a local Ray cluster of two
machines. During the last run on Ray, one machine is removed, and then the command is killed and repeated.
Each result is checked to have every image once, and both to be equal byte for byte. Times and peak memory are
printed, and appended to FOLDER/measured.jsonl. Needs Linux.
"""

import csv
import filecmp
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from hashlib import file_digest
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.pretrained import save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from cluster.machines import SETTINGS, local_cluster  # noqa: E402

SIDE, NETWORK_SIDE = 64, 32
PER_FOLDER = PER_SHARD = 1000
DAMAGED = 500
"""One in this many images is truncated."""
MACHINES = (2, 2)
"""Processors of each machine; Ray makes an actor for each."""
LOSS, KILL = 0.4, 0.6
"""Shares of the shards after which a machine is removed, and the command killed."""
TICKS = os.sysconf("SC_CLK_TCK")
MARK = "CLUSTER_JOB"


def main(folder: Path, *sizes: int) -> None:
    """Draw the images and the weights, and run all sizes."""
    prepare(folder, max(sizes))
    for size in sizes:
        run_here(folder, size)
        run_on_ray(folder, size, disturbed=size == max(sizes))
        compare(folder / f"local-{size}", folder / f"ray-{size}")


def prepare(folder: Path, count: int) -> None:
    """Write images, all different, and the weights of a small untrained network."""
    for number in range(count):
        path = folder / image_path(number)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(draw_image(number))
    recipe = load_recipe("isic2018", ["model.size=tiny", f"data.size={NETWORK_SIDE}"])
    torch.manual_seed(0)
    (folder / "weights").mkdir(exist_ok=True)
    save_segmenter(build_segmenter(recipe), recipe, folder / "weights")


def image_path(number: int) -> str:
    """Return the path of an image in the folder."""
    return f"images/{number // PER_FOLDER:04}/{number % PER_FOLDER:03}.jpg"


def draw_image(number: int) -> bytes:
    """Return a JPEG file of a dark ellipse on skin; one in DAMAGED is truncated."""
    random = np.random.default_rng(number)
    skin = random.normal((225, 180, 160), 6, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(skin)
    x, y = random.integers(18, 46, 2).tolist()
    across, down = random.integers(6, 18, 2).tolist()
    colour = tuple(random.integers(60, 120, 3).tolist())
    ImageDraw.Draw(image).ellipse((x - across, y - down, x + across, y + down), fill=colour)
    file = BytesIO()
    image.filter(ImageFilter.GaussianBlur(1)).save(file, "JPEG", quality=90)
    data = file.getvalue()
    return data[:200] if number % DAMAGED == DAMAGED - 1 else data


def run_here(folder: Path, size: int) -> None:
    """Predict the first images in one process."""
    start = time.monotonic()
    process = predict(folder, size, f"local-{size}")
    _, status, used = os.wait4(process.pid, 0)
    require_done(os.waitstatus_to_exitcode(status), size)
    report(
        folder,
        engine="local",
        images=size,
        seconds=time.monotonic() - start,
        cpu_seconds=used.ru_utime + used.ru_stime,
        command_mb=used.ru_maxrss / 1024,
    )
    check(folder / f"local-{size}", size)


def run_on_ray(folder: Path, size: int, disturbed: bool) -> None:
    """Predict the first images on two machines; perhaps remove one, kill the command and repeat it."""
    name, shards = f"ray-{size}", -(-size // PER_SHARD)
    os.environ.update(SETTINGS | {MARK: f"{folder.resolve()}/{name}"})
    events = {}
    with local_cluster(0, *MACHINES) as (address, lose_one), Watch(os.environ[MARK]) as watch:
        start = time.monotonic()
        options = ("--engine", "ray", "--address", address)
        process = predict(folder, size, name, *options)
        if disturbed:
            events["machine_lost_at"] = wait_for_shards(folder / name, int(LOSS * shards), process)
            lose_one()
            events["command_killed_at"] = wait_for_shards(folder / name, int(KILL * shards), process)
            process.kill()
            process.wait()
            process = predict(folder, size, name, *options)
        require_done(process.wait(), size)
        seconds = time.monotonic() - start
    report(folder, engine="ray", images=size, seconds=seconds, **watch.totals(), **events)
    check(folder / name, size)


def predict(folder: Path, size: int, output: str, *options: str) -> "subprocess.Popen[bytes]":
    """Start the command for the first images."""
    images = folder / f"{size}.txt"
    images.write_text("".join(f"{image_path(number)}\n" for number in range(size)), encoding="utf-8")
    command = [sys.executable, "-m", "mlffm_segdiff", "predict", images.name, "-o", output, "-q"]
    how = ["--weights", "weights", "--threads", "1", "--shards", "tar", "--shard-size", str(PER_SHARD)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen([*command, *how, *options], cwd=folder, env=environment)


def wait_for_shards(output: Path, count: int, process: "subprocess.Popen[bytes]") -> int:
    """Wait until an output has this many finished shards, and return how many it has."""
    while (found := len(list(output.glob("shards/0*.tar")))) < count:
        if process.poll() is not None:
            raise SystemExit(f"the command ended early with status {process.returncode}")
        time.sleep(0.2)
    return found


def require_done(status: int, size: int) -> None:
    """Exit unless the command finished, with status 1 if an image is damaged."""
    if status != (size >= DAMAGED):
        raise SystemExit(f"the command ended with status {status}")


def check(output: Path, size: int) -> None:
    """Exit unless the manifest and the table have each image once, and the shards those of the manifest."""
    lines = [
        json.loads(line) for line in (output / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    listed = {line["shard"]: line["sha256"] for line in lines}
    found = {path.name: _sha256(path) for path in (output / "shards").iterdir()}
    with (output / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["source"], row["status"]) for row in csv.DictReader(file)]
    wanted = [
        (image_path(number), "failed" if number % DAMAGED == DAMAGED - 1 else "done")
        for number in range(size)
    ]
    if not (found == listed and len(listed) == len(lines) and rows == wanted):
        raise SystemExit(f"{output} is not complete")
    if sum(line["images"] for line in lines) != size:
        raise SystemExit(f"{output}: the manifest does not have {size} images")
    print(f"{output.name}: {len(lines)} shards, {len(rows)} images, each once", flush=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def compare(one: Path, other: Path) -> None:
    """Exit unless two outputs have the same files with the same bytes."""
    names = [
        sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        for folder in (one, other)
    ]
    if names[0] != names[1] or filecmp.cmpfiles(one, other, names[0], shallow=False)[1:] != ([], []):
        raise SystemExit(f"{one} and {other} differ")
    print(f"{one.name} and {other.name}: {len(names[0])} files, equal byte for byte", flush=True)


def report(folder: Path, **values: Any) -> None:
    """Print what was measured and append it to the file."""
    rounded = {name: round(one, 1) if isinstance(one, float) else one for name, one in values.items()}
    print(json.dumps(rounded), flush=True)
    with (folder / "measured.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(rounded) + "\n")


class Watch(Thread):
    """Samples processor time and peak memory of the processes with a mark in their environment.

    Args:
        mark: Value of the environment variable MARK.
    """

    def __init__(self, mark: str) -> None:
        super().__init__(daemon=True)
        self._mark = f"{MARK}={mark}\0".encode()
        self._seen: dict[str, tuple[str, float, float]] = {}
        self._end = Event()

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.join()

    def run(self) -> None:
        """Sample every second until the block ends."""
        while not self._end.wait(1):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError, ValueError):
                    if self._mark in (process / "environ").read_bytes():
                        self._seen[process.name] = _sample(process)

    def totals(self) -> dict[str, float]:
        """Return the processor time of all processes and of actors, and the peak memory of the largest."""
        found: dict[str, float] = {"cpu_seconds": sum(cpu for _, cpu, _ in self._seen.values())}
        for kind in ("command", "actor"):
            of_kind = [one for one in self._seen.values() if one[0] == kind]
            found[f"{kind}_cpu_seconds"] = sum((cpu for _, cpu, _ in of_kind), 0.0)
            found[f"{kind}_mb"] = max((peak for *_, peak in of_kind), default=0.0)
        return found


def _sample(process: Path) -> tuple[str, float, float]:
    """Return the kind of a process, its processor time in seconds and its peak memory in MB."""
    command = (process / "cmdline").read_bytes()
    kind = "actor" if b"ray::MapWorker" in command else "command" if b"\0predict\0" in command else "ray"
    status = (process / "status").read_text(encoding="utf-8")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return kind, (int(fields[11]) + int(fields[12])) / TICKS, peak / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
