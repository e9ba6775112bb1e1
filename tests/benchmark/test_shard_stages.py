"""What is measured of shards: which images, which stages, and that they add up."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlffm_segdiff.benchmark import shard_stages
from mlffm_segdiff.benchmark.measured_speeds import STAGES, MeasuredSpeeds
from mlffm_segdiff.benchmark.photographs import write_photographs
from mlffm_segdiff.benchmark.shard_stages import drawn_groups, entry_bytes, groups_of, measure_speeds
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.model import Model, load_model

Weights = Callable[..., Path]


@pytest.fixture(scope="module")
def tiny(tiny_weights: Weights) -> Model:
    return load_model(tiny_weights("isic2018", "model.size=tiny"), device="cpu")


@pytest.fixture(scope="module")
def measured(tiny: Model) -> MeasuredSpeeds:
    """A clock that ticks one second at each look: a stage takes a second for each time it is entered."""
    ticks = iter(range(10**6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_stages.time, "process_time", lambda: float(next(ticks)))
        patch.setattr(shard_stages, "DRAWN", ((32, 32), (64, 48), (96, 64)))
        patch.setattr(shard_stages, "DRAWN_CHECK", (64, 64))
        with drawn_groups() as groups:
            return measure_speeds(tiny, "tiny", groups, batch_size=4, repeats=2)


def test_each_stage_is_timed_once_per_image_and_the_network_once_per_batch(measured: MeasuredSpeeds) -> None:
    once = {"read": 1.0, "decode": 1.0, "network": 2 / 8, "post-processing": 1.0, "write": 1.0, "other": 0.0}
    assert [one.stages for one in (*measured.sizes, measured.check)] == [once] * 4
    assert [one.driver_seconds for one in measured.sizes] == [1 / 1000] * 3, "125 times a shard of eight"
    assert {stage: line.at(5) for stage, line in measured.speeds.stages.items()} == pytest.approx(once)
    assert list(measured.speeds.stages) == list(STAGES)
    assert measured.check_error == pytest.approx(0)
    assert measured.speeds.gpu is None


def test_sizes_are_those_of_the_files(measured: MeasuredSpeeds) -> None:
    pixels = [32 * 32, 64 * 48, 96 * 64, 64 * 64]
    assert [one.megapixels for one in (*measured.sizes, measured.check)] == [n / 1e6 for n in pixels]
    assert measured.sizes[0].input_bytes < measured.sizes[1].input_bytes < measured.sizes[2].input_bytes
    assert measured.megapixels == pytest.approx(sum(pixels) / 4e6)
    assert all(one.output_bytes > 1000 for one in measured.sizes), "three members of 512 bytes and more"


def test_a_saved_measurement_is_read_back(measured: MeasuredSpeeds, tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text(measured.model_dump_json())
    assert MeasuredSpeeds.read(path) == measured


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda values: values["speeds"]["stages"].pop("network"), "read, decode, network"),
        (lambda values: values["check"]["stages"].update(dict.fromkeys(STAGES, 0)), "must take some time"),
        (lambda values: values["check"]["stages"].update(read=-1), "check.stages.read"),
    ],
)
def test_a_measurement_of_other_stages_is_refused(
    measured: MeasuredSpeeds, tmp_path: Path, change: Callable[[Any], object], reason: str
) -> None:
    path, values = tmp_path / "machine.json", measured.model_dump()
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"machine.json has no measured speeds .* plan --save") as caught:
        MeasuredSpeeds.read(path)
    assert reason in str(caught.value.__cause__)


@pytest.mark.parametrize("text", [None, "{}", "no JSON", '{"speeds": 3}'])
def test_another_file_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "machine.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=r"machine.json has no measured speeds .* plan --save"):
        MeasuredSpeeds.read(path)


def test_given_images_are_grouped_by_size_and_every_fourth_is_for_the_check(tmp_path: Path) -> None:
    for number in range(100):
        side = 10 + (37 * number) % 100
        Image.new("RGB", (side, 10)).save(tmp_path / f"{number:03}.png")
    groups = groups_of(sorted(tmp_path.iterdir()))
    *fitted, check = groups
    assert [len(group.sources) for group in groups] == [7, 7, 5, 6]
    taken = {source for group in groups for source in group.sources}
    assert len(taken) == 25, "every fourth of 100"
    sizes = [group.megapixels for group in fitted]
    assert sizes == sorted(sizes)
    assert sizes[0] < check.megapixels < sizes[2]


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="7 images are too few to measure; give 8 or more"):
        groups_of(write_photographs(tmp_path, 7, 32, 32))


def test_images_that_cannot_be_segmented_are_refused(tiny: Model, tmp_path: Path) -> None:
    paths = write_photographs(tmp_path, 8, 32, 32)
    Image.new("RGB", (32, 32)).save(paths[3])
    with pytest.raises(UserError, match="has one colour only"):
        measure_speeds(tiny, "tiny", groups_of(paths), 4, 1)


def test_an_entry_of_the_list_is_more_than_its_address() -> None:
    found = entry_bytes()
    assert len("s3://bucket/images/000000000.jpg") < found < 2000
    assert math.isclose(found, entry_bytes(), rel_tol=0.05)
