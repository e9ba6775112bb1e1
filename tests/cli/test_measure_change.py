import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlffm_segdiff import measure_change, segment
from mlffm_segdiff.inference.demo import samples_folder

Command = Callable[..., tuple[int, str, str]]
SAMPLES = samples_folder()
FIRST, SECOND = SAMPLES / "sample_1.png", SAMPLES / "sample_2.png"


def test_the_json_has_the_numbers_of_python(command: Command) -> None:
    options = (
        "--mm-per-pixel",
        "0.02",
        "--mm-per-pixel",
        "0.03",
        "--level",
        "80",
        "--json",
        "--threads",
        "1",
    )
    status, out, _ = command("measure-change", FIRST, SECOND, *options)
    found = json.loads(out)
    (before,) = segment([FIRST], mm_per_pixel=0.02)
    (after,) = segment([SECOND], mm_per_pixel=0.03)
    change = measure_change(before, after)
    assert (status, found["unit"], found["level"]) == (0, "mm2", 0.8)
    assert (found["before"]["image"], found["after"]["image"]) == (FIRST.name, SECOND.name)
    for name in ("before", "after", "difference", "ratio"):
        estimate = getattr(change, name)
        assert found[name]["value"] == pytest.approx(estimate.value)
        assert found[name]["interval"] == pytest.approx(estimate.interval(0.8))
    assert found["certain"] == change.is_certain(0.8)
    assert found["calibration_cases"] == before.calibration_cases


def test_an_image_and_itself_cannot_be_told_apart(command: Command) -> None:
    status, out, error = command("measure-change", FIRST, FIRST, "--threads", "1")
    assert (status, error) == (0, "")
    lines = out.splitlines()
    assert "area in % of the image, with 90 % intervals" in out
    assert (
        lines[-3]
        == "The change cannot be distinguished from zero: the 90 % interval of the difference includes 0."
    )
    assert lines[-2].startswith("Calibration cases: ")
    assert lines[-1].startswith("The size of a pixel is not known for both images")


@pytest.mark.parametrize("level", [80, 90, 95])
def test_each_offered_level_has_an_interval(command: Command, level: int) -> None:
    status, out, _ = command("measure-change", FIRST, SECOND, "--level", level, "--json", "--threads", "1")
    found = json.loads(out)
    assert (status, found["level"]) == (0, level / 100)
    assert found["difference"]["interval"][0] < found["difference"]["value"]


def test_a_large_and_a_small_lesion_differ(command: Command) -> None:
    large, small = (samples_folder() / f"sample_{number}.png" for number in (5, 6))
    status, out, _ = command("measure-change", large, small, "--mm-per-pixel", "0.02", "--threads", "1")
    assert status == 0
    assert "area in mm2" in out
    assert "\nThe outlined area is smaller in B: the 90 % interval of the difference excludes 0.\n" in out


def test_weights_without_a_calibration_say_that_nothing_can_be_said(command: Command, trained: Path) -> None:
    where = ("measure-change", FIRST, SECOND, "--weights", trained, "--threads", "1")
    status, out, _ = command(*where, "--mm-per-pixel", "0.02")
    assert status == 0
    assert out.splitlines()[-1].startswith("No calibration applies")
    status, out, _ = command(*where, "--json")
    found = json.loads(out)
    assert (found["level"], found["certain"], found["difference"]["interval"]) == (None, None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--level", "0"], "level 0 is out of range"),
        (
            ["--level", "99", "--weights", "missing"],
            "level 0.99 is not calibrated; choose from 0.8",
        ),
        (["--mm-per-pixel", "0"], "mm per pixel is out of range"),
        (["--mm-per-pixel", "1e300"], "mm per pixel is out of range; give a number from 1e-06 to 1000"),
        (["--mm-per-pixel", "1"] * 3, "--mm-per-pixel is given 3 times"),
    ],
)
def test_bad_options_are_refused_in_one_line(command: Command, options: list[str], message: str) -> None:
    status, out, error = command("measure-change", FIRST, SECOND, "--threads", "1", *options)
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert message in error


def test_an_image_that_cannot_be_read_is_named(command: Command, tmp_path: Path) -> None:
    shutil.copy(FIRST, tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    status, out, error = command("measure-change", tmp_path / "a.png", tmp_path / "b.png", "--threads", "1")
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert "b.png" in error
