import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.files.atomic import (
    BUILDING,
    PART,
    atomic_folder,
    atomic_write,
    require_writable_file,
    require_writable_folder,
    sweep_unfinished,
    write_bytes,
    write_text,
)

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX rights, signals or limits")


class InterruptedWriteError(Exception):
    pass


def write_half(path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise InterruptedWriteError


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(InterruptedWriteError):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    path = tmp_path / "file" / "table.csv"
    with pytest.raises(UserError, match=r"file.table\.csv cannot be written"), atomic_write(path):
        pass


def test_the_longest_name_a_folder_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"


def fill(path: Path, *, fail: bool = False) -> None:
    with atomic_folder(path) as building:
        building.joinpath("a").write_text(path.name)
        assert not path.exists()
        if fail:
            raise InterruptedWriteError


@POSIX
def test_a_folder_appears_when_the_block_ends_with_the_rights_of_any_new_folder(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        fill(tmp_path / "new" / "cache")
    finally:
        os.umask(old)
    assert (tmp_path / "new" / "cache" / "a").read_text() == "cache"
    assert (tmp_path / "new" / "cache").stat().st_mode & 0o777 == 0o750
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["cache"]


def test_a_block_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InterruptedWriteError):
        fill(tmp_path / "cache", fail=True)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_that_was_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    with atomic_folder(path) as building:
        building.joinpath("a").write_text("second")
        path.mkdir()
        path.joinpath("a").write_text("first")
    assert path.joinpath("a").read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_folder_takes_the_place_of_what_killed_ones_left_next_to_it(tmp_path: Path) -> None:
    (tmp_path / f"{BUILDING}abcd_123" / "folder").mkdir(parents=True)
    with atomic_folder(tmp_path / "outer") as building, atomic_folder(tmp_path / "inner"):
        assert building.is_dir(), "one that is still being filled is kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner", "outer"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(UserError, match=r"file.cache cannot be written"):
        fill(tmp_path / "file" / "cache")


def test_bytes_and_text_are_written_whole_and_text_is_utf8_whatever_the_name(tmp_path: Path) -> None:
    write_bytes(tmp_path / "new" / "image.jpg", b"\xff\xd8")
    assert (tmp_path / "new" / "image.jpg").read_bytes() == b"\xff\xd8"
    write_text(tmp_path / "names.txt", os.fsdecode(b"L\xe4sion ") + "é\n")
    assert (tmp_path / "names.txt").read_bytes() == "L\\udce4sion é\n".encode()


@POSIX
@pytest.mark.parametrize("name", ["full", "exact"])
def test_a_write_that_does_not_fit_leaves_the_old_file_and_says_so(tmp_path: Path, name: str) -> None:
    """A file-size limit stands in for a full disk: both make the kernel write less than it was given."""
    path = tmp_path / f"{name}.bin"
    path.write_bytes(b"old")
    script = (
        "import resource, signal, sys; from pathlib import Path; from mlffm_segdiff.files.atomic import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_bytes(Path(sys.argv[1]), bytes(int(sys.argv[2])))"
    )
    size = {"full": 1001, "exact": 1000}[name]
    done = subprocess.run(
        [sys.executable, "-c", script, path, str(size)], capture_output=True, text=True, check=False
    )
    if name == "exact":
        assert (done.returncode, len(path.read_bytes())) == (0, 1000)
    else:
        assert path.read_bytes() == b"old"
        assert f"{path} cannot be written (File too large); free disk space" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def sync(descriptor: int) -> None:
        assert not (tmp_path / "table.csv").exists() or not (tmp_path / "cache").exists()
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", sync)
    write_bytes(tmp_path / "table.csv", b"12345")
    assert synced == [5]
    fill(tmp_path / "cache")
    assert synced == [5, 5]


@POSIX
def test_an_image_that_does_not_fit_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    """Pillow itself writes such an image in part and reports nothing."""
    script = (
        "import os, resource, signal, sys; from pathlib import Path; from PIL import Image\n"
        "from mlffm_segdiff.files.atomic import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "path, image = Path(sys.argv[1]), Image.frombytes('L', (100, 100), os.urandom(10000))\n"
        "with atomic_write(path) as temporary, open_checked(temporary) as file: image.save(file, 'PNG')\n"
    )
    path = tmp_path / "a.png"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert f"{path} cannot be written (File too large); free disk space" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        (errno.ENOSPC, "free disk space"),
        (errno.EDQUOT, "free disk space"),
        (errno.EACCES, "write permission"),
        (errno.ENAMETOOLONG, "shorter name"),
    ],
)
def test_the_error_names_the_fix_of_its_cause(tmp_path: Path, code: int, fix: str) -> None:
    with (
        pytest.raises(UserError, match=rf"a\.csv cannot be written.*{fix}"),
        atomic_write(tmp_path / "a.csv"),
    ):
        raise OSError(code, os.strerror(code))


def test_a_file_in_the_way_is_named_and_not_the_disk(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    for path in (tmp_path / "out" / "a.csv", tmp_path / "out" / "masks" / "a.png"):
        with pytest.raises(UserError, match=r"out is a file, not a folder; choose another folder$"):
            write_bytes(path, b"")
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(UserError, match=r"a\.csv cannot be written .*a folder has this name"):
        write_bytes(tmp_path / "a.csv", b"")


def test_a_place_to_write_is_tried_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("kept")
    require_writable_file(tmp_path / "a.csv")
    require_writable_file(tmp_path / "new" / "b.csv")
    require_writable_folder(tmp_path)
    require_writable_folder(tmp_path / "new" / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "kept"


def test_a_place_that_cannot_be_written_is_named_with_its_fix(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deep" / "deeper"):
        with pytest.raises(UserError, match=rf"{folder} cannot be written: .*file is a file, not a folder"):
            require_writable_folder(folder)
    with pytest.raises(UserError, match=r"a\.csv cannot be written: .*file is a file, not a folder"):
        require_writable_file(tmp_path / "file" / "a.csv")
    with pytest.raises(UserError, match=r"cannot be written \(Is a directory\); a folder has this name"):
        require_writable_file(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    with pytest.raises(UserError, match=r"link cannot be written \(File exists\)"):
        require_writable_folder(tmp_path / "link")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="all folders can be written here")
def test_a_folder_without_permission_is_named_with_its_fix(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    for folder in (closed, closed / "deep" / "deeper"):
        message = rf"{folder} cannot be written \(Permission denied\); choose a folder with write permission"
        with pytest.raises(UserError, match=message):
            require_writable_folder(folder)


KILLED = """
import os, signal, sys
from pathlib import Path
from mlffm_segdiff.files.atomic import atomic_folder, atomic_write

with atomic_write(Path(sys.argv[1], "a")) as a, atomic_folder(Path(sys.argv[1], "b")) as b:
    a.write_text("half")
    Path(b, "half").write_text("")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@POSIX
def test_a_sweep_removes_what_a_killed_process_left_and_nothing_else(tmp_path: Path) -> None:
    others = {".part-1", ".building-site", "part-abcdefgh", ".part-abcdefgh.txt", "masks"}
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / ".part-aaaaaaaa").write_text("a file")
    (tmp_path / ".part-bbbbbbbb").symlink_to(tmp_path / "masks")
    others |= {".part-aaaaaaaa", ".part-bbbbbbbb"}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = {path.name for path in tmp_path.iterdir()} - others
    assert {name.partition("-")[0] + "-" for name in left} == {PART, BUILDING}
    sweep_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == others
    sweep_unfinished(tmp_path / "absent")


def test_a_sweep_spares_the_files_that_are_being_written(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as temporary, atomic_folder(tmp_path / "b") as building:
        old = time.time() - 48 * 3600
        os.utime(temporary.parent, (old, old))
        sweep_unfinished(tmp_path)
        temporary.write_text("whole")
        (building / "whole").write_text("")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_writers_and_sweeps_at_once_lose_nothing(tmp_path: Path) -> None:
    def write(letter: str) -> None:
        for number in range(50):
            write_text(tmp_path / f"{letter}{number}", letter)

    writers = [Thread(target=write, args=(letter,)) for letter in "ab"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        sweep_unfinished(tmp_path)
    assert len(list(tmp_path.iterdir())) == 100


def test_a_folder_that_is_removed_while_it_is_empty_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, make, removed = tmp_path / "masks", tempfile.TemporaryDirectory, iter(range(3))

    def remove_first(*arguments: Any, **options: Any) -> Any:
        if next(removed, None) is not None:
            folder.rmdir()
        return make(*arguments, **options)

    monkeypatch.setattr(tempfile, "TemporaryDirectory", remove_first)
    write_bytes(folder / "a.png", b"a")
    assert [path.name for path in folder.iterdir()] == ["a.png"]
    assert next(removed, None) is None


def test_without_locks_leftovers_are_removed_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl", reason="Windows has other locks")

    def unsupported(descriptor: int, how: int) -> None:
        raise OSError(errno.EBADF, "no locks here")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    new, old = tmp_path / f"{PART}aaaaaaaa", tmp_path / f"{PART}bbbbbbbb"
    for path in (new, old):
        path.mkdir()
    os.utime(old, (0, time.time() - 48 * 3600))
    sweep_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == [new]
    write_text(tmp_path / "a", "written")
