"""What the commands print of names that nobody expects, and how they end by a signal."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.table import Table

from mlffm_segdiff.cli.plain_console import PlainConsole

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals or limits")

Command = Callable[..., tuple[int, str, str]]

HOSTILE = (
    b"=cmd|' -C calc'!A0.png",
    b"<img src=x onerror=alert(1)>.png",
    b"-x.png",
    b"[red]x[bold].png",
    b"a\nb.png",
    b"c:d.png",
    b"esc\x1b]0;title\x07.png",
    b"latin\xe4.png",
    b"n" * 251 + b".png",
    "rtl\u202egnp.png".encode(),
)


@pytest.fixture
def hostile(tmp_path: Path, lesions: Path) -> Path:
    """A folder of one image under the names of HOSTILE, and as many broken ones."""
    folder = tmp_path / "in"
    folder.mkdir()
    image = min((lesions / "images").iterdir())
    for name in HOSTILE:
        shutil.copy(os.fsencode(image), os.path.join(os.fsencode(folder), name))  # noqa: PTH118
        broken = b"bad" + name[len(b"bad") :] if len(name) > 250 else b"bad" + name
        Path(os.fsdecode(os.path.join(os.fsencode(folder), broken))).write_bytes(b"broken")  # noqa: PTH118
    return folder


def test_no_name_reaches_the_terminal_raw_or_breaks_an_output(
    tmp_path: Path, hostile: Path, trained: Path, command: Command
) -> None:
    out = tmp_path / "out"
    what = ("-w", "coco", "-w", "contours", "-w", "review", "-w", "overlay", "--threads", "1")
    status, printed, error = command("predict", "-i", hostile, "-o", out, "--weights", trained, *what)
    assert status == 1
    assert len(error.splitlines()) == len(HOSTILE) + 1  # one for each broken file, and the count
    assert not set(printed + error) & set("\x1b\x07\u202e")
    assert r"esc\x1b]0;title\x07.png" in error
    assert "[red]x[bold].png" in error
    rows = pd.read_csv(out / "predictions.csv")
    assert rows["status"].value_counts().to_dict() == {"done": 10, "failed": 10}
    assert not rows["image"].str.match(r"[=+\-@]").any()
    texts = [path.read_bytes().decode("utf-8") for path in out.rglob("*") if path.suffix in (".csv", ".html")]
    assert len(texts) == 2
    for path in [out / "coco.json", *(out / "contours").iterdir()]:
        json.dumps(json.loads(path.read_bytes().decode("utf-8")), ensure_ascii=False).encode("utf-8")
    assert len(list((out / "masks").iterdir())) == 10


def test_cases_of_masks_with_such_names_are_scored(
    tmp_path: Path, hostile: Path, lesions: Path, command: Command
) -> None:
    mask = min((lesions / "masks").iterdir()).read_bytes()
    for path in hostile.iterdir():
        if path.read_bytes() == b"broken":
            path.unlink()
        else:
            path.write_bytes(mask)
    truth = shutil.copytree(hostile, tmp_path / "truth")
    status, printed, error = command("evaluate", "--masks", hostile, "--truth", truth, "-o", tmp_path / "e")
    assert (status, error) == (0, "")
    assert not set(printed) & set("\x1b\x07\u202e")
    with (tmp_path / "e" / "cases.csv").open(newline="", encoding="utf-8") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert {"'=cmd|' -C calc'!A0", "'-x", "latin\\udce4"} <= set(ids)


def test_an_error_shows_control_characters_as_escapes(tmp_path: Path, command: Command) -> None:
    status, _, error = command("predict", "-i", tmp_path / "no\x1b[31m", "-o", tmp_path / "out")
    assert status == 2
    assert r"no\x1b[31m" in error
    assert "\x1b" not in error


def test_a_table_shows_texts_as_they_are() -> None:
    table = Table("name")
    for name in ("[red]a[/]", ":bomb:", "esc\x1b[31m"):
        table.add_row(name)
    stream = io.StringIO()
    PlainConsole(file=stream, width=40, markup=False, emoji=False).print(table)
    lines = [line.strip("│ ") for line in stream.getvalue().splitlines()[3:6]]
    assert lines == ["[red]a[/]", ":bomb:", r"esc\x1b[31m"]


TERMINATED = """
import os, signal, sys, time
import mlffm_segdiff.data.synthetic as synthetic
from mlffm_segdiff.cli import main

def work(*_):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)

synthetic.write_folder = work
main(["data", "synthetic", "--count", "1", "-o", "nowhere"])
"""


@POSIX
def test_sigterm_ends_with_143_and_a_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TERMINATED], capture_output=True, text=True, check=False, timeout=50
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "terminated\n")


LIMITED = """
import resource, signal, sys
from mlffm_segdiff.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
main(sys.argv[2:])
"""


@POSIX
@pytest.mark.parametrize(
    ("limit", "ends"),
    [
        (100, (2, "error: ", "predict.jsonl cannot be written (File too large); free disk space")),
        (20_000, (1, "incomplete: ", "a.jpg cannot be written (File too large)")),
    ],
)
def test_on_a_full_disk_what_failed_is_named_and_no_file_is_cut(
    tmp_path: Path, trained: Path, command: Command, limit: int, ends: tuple[int, str, str]
) -> None:
    """A limit on the size of files stands in for a full disk: both make the kernel write too little."""
    image = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(image)
    options = ("predict", "-i", str(image), "--weights", str(trained), "-w", "overlay", "--threads", "1")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit), *options, "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    status, start, named = ends
    assert done.returncode == status
    assert done.stderr.startswith(start)
    assert named in done.stderr
    command(*options, "-o", tmp_path / "whole")
    for path in (tmp_path / "out").rglob("*.*"):
        if path.suffix in (".png", ".jpg"):
            assert path.read_bytes() == (tmp_path / "whole" / path.relative_to(tmp_path / "out")).read_bytes()
    assert not list((tmp_path / "out").rglob(".part-*"))


def test_a_pattern_that_the_shell_expanded_is_taken(
    tmp_path: Path, lesions: Path, trained: Path, command: Command
) -> None:
    images = sorted((lesions / "images").iterdir())[:3]
    how = ("--weights", trained, "--threads", "1", "--samples", "2", "sampling.steps=2")
    status, printed, _ = command("predict", "-i", *images, "-o", tmp_path / "out", *how)
    assert (status, printed[:25]) == (0, "3 of 3 images segmented: ")
