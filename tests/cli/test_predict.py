import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pyarrow import parquet

import mlffm_segdiff
from mlffm_segdiff import PostProcessing, segment
from mlffm_segdiff.inference.demo import samples_folder

Command = Callable[..., tuple[int, str, str]]

SAMPLE = Path(mlffm_segdiff.__file__).parent / "samples" / "sample_1.png"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, size in enumerate([(56, 40), (33, 61), (90, 45)]):
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size).save(folder / f"p{seed}.png")
    return folder


@pytest.fixture
def predict(tmp_path: Path, photos: Path, trained: Path, command: Command) -> Command:
    """Run the verb on the photos into tmp_path/out; return the exit status and the two streams."""

    def call(*options: str, source: Path = photos, model: Path = trained) -> tuple[int, str, str]:
        where = ("-i", source, "-o", tmp_path / "out", "--weights", model)
        return command("predict", *where, "--threads", "1", *options)

    return call


def read(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.array(image)


def only_row(folder: Path) -> dict[str, str]:
    with (folder / "out" / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    return row


def test_a_folder_becomes_masks_and_a_table(
    tmp_path: Path, photos: Path, trained: Path, predict: Command
) -> None:
    status, out, _ = predict("--samples", "2")
    assert (status, out) == (0, f"3 of 3 images segmented: {tmp_path / 'out'}\n")
    paths = sorted(photos.iterdir())
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for path, row, found in zip(paths, rows, segment(paths, trained, sampling={"samples": 2}), strict=True):
        np.testing.assert_array_equal(read(tmp_path / "out" / "masks" / path.name) > 0, found.mask)
        assert (row["image"], int(row["area"]), row["status"]) == (path.name, found.mask.sum(), "done")
        assert float(row["mean_spread"]) > 0


def test_options_reach_the_model_and_the_output(
    tmp_path: Path, photos: Path, trained: Path, predict: Command
) -> None:
    how = "sampling.steps=3 --samples 4 sampling.sampler=ddpm sampling.seed=7 --threshold 0.4 --batch-size 2"
    what = "-w probability -w overlay"
    status, out, _ = predict(*how.split(), *what.split(), source=photos / "p1.png")
    assert (status, out[:26]) == (0, "1 of 1 images segmented: /")
    sampling = {"steps": 3, "samples": 4, "sampler": "ddpm", "seed": 7}
    (found,) = segment([photos / "p1.png"], trained, sampling=sampling, threshold=0.4)
    folder = tmp_path / "out"
    np.testing.assert_array_equal(read(folder / "masks" / "p1.png") > 0, found.mask)
    np.testing.assert_array_equal(
        read(folder / "probabilities" / "p1.png"), np.rint(found.probability * 65535)
    )
    assert read(folder / "overlays" / "p1.jpg").shape == (61, 33, 3)


def test_by_default_the_posterior_mean_is_written_and_samples_only_on_request(
    tmp_path: Path, photos: Path, trained: Path, predict: Command
) -> None:
    found = []
    for options in ([], ["--samples", "0"], ["--samples", "1"]):
        assert predict(*options, "-w", "probability", source=photos / "p1.png")[0] == 0
        found.append(read(tmp_path / "out" / "probabilities" / "p1.png"))
    default, none, one = found
    (mean,) = segment([photos / "p1.png"], trained)
    np.testing.assert_array_equal(default, np.rint(mean.probability * 65535))
    np.testing.assert_array_equal(none, default)
    assert (one != default).any()


def test_mirror_images_are_averaged_on_request(
    tmp_path: Path, photos: Path, trained: Path, predict: Command
) -> None:
    """The mask of a mirrored image is then the mirrored mask."""
    image = read(photos / "p1.png")
    mirrored = tmp_path / "mirrored.png"
    Image.fromarray(image[:, ::-1]).save(mirrored)
    maps = []
    for path in (photos / "p1.png", mirrored):
        status, _, _ = predict("sampling.mirror=true", "--style", "any", "-w", "probability", source=path)
        assert status == 0
        maps.append(read(tmp_path / "out" / "probabilities" / path.name).astype(int))
    assert np.abs(maps[0] - maps[1][:, ::-1]).max() < 655


def test_a_second_look_is_taken_on_request(
    tmp_path: Path, photos: Path, trained: Path, predict: Command
) -> None:
    assert predict("sampling.second_look=true", "-w", "probability", source=photos / "p1.png")[0] == 0
    (found,) = segment([photos / "p1.png"], trained, sampling={"second_look": True})
    written = read(tmp_path / "out" / "probabilities" / "p1.png")
    np.testing.assert_array_equal(written, np.rint(found.probability * 65535))
    status, _, error = predict("sampling.second_look=true", "--samples", "2", source=photos / "p1.png")
    assert (status, "second_look refines the posterior mean" in error) == (2, True)


def test_masks_are_post_processed_on_request(
    tmp_path: Path, photos: Path, trained: Path, predict: Command
) -> None:
    for options, chosen in (
        (["--keep-specks"], {"keep_specks": True}),
        (["--largest", "--fill-holes"], {"largest": True, "fill_holes": True}),
    ):
        assert predict(*options, "--threshold", "0.4", source=photos / "p1.png")[0] == 0
        (found,) = segment([photos / "p1.png"], trained, threshold=0.4, post=PostProcessing(**chosen))
        np.testing.assert_array_equal(read(tmp_path / "out" / "masks" / "p1.png") > 0, found.mask)


def test_samples_are_fused_by_staple_on_request(
    tmp_path: Path, photos: Path, trained: Path, predict: Command
) -> None:
    found = []
    for fusion in ("mean", "staple"):
        status, _, _ = predict(
            "--samples", "5", "-w", "probability", f"sampling.fusion={fusion}", source=photos / "p1.png"
        )
        assert status == 0
        found.append(read(tmp_path / "out" / "probabilities" / "p1.png"))
    mean, staple = found
    assert np.mean((staple > 6500) & (staple < 59000)) < np.mean((mean > 6500) & (mean < 59000))


def test_a_broken_file_is_named_skipped_and_sets_the_exit_status(
    tmp_path: Path, photos: Path, predict: Command
) -> None:
    (photos / "p0.png").write_bytes(b"\x89PNG broken")
    (photos / "notes.txt").touch()
    status, out, err = predict()
    assert status == 1
    assert out == f"2 of 3 images segmented: {tmp_path / 'out'}\n"
    assert "skipped: " in err
    assert "p0.png" in err
    assert f"left out: 1 not images by their extension (.txt), 1 unreadable (see {tmp_path / 'out'}" in err
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == ["p1.png", "p2.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samples", "2", "sampling.steps=0"], "sampling.steps"),
        (["--samples", "2", "sampling.sampler=euler"], "sampling.sampler"),
        (["--threshold", "1.5"], "threshold 1.5"),
        (["--batch-size", "0"], "batch size 0"),
        (["--samples", "many"], "--samples"),
        (["-w", "images"], "'images' is not an output; choose from probability, spread"),
        (["-w", "spread", "--samples", "1"], "the spread map needs samples, but 1 are drawn"),
        (["-w", "spread"], "the spread map needs samples, but 0 are drawn"),
        (
            ["sampling.steps=2"],
            "no samples are drawn, so steps would have no effect; set samples to 1 or more",
        ),
        (["sampling.sampler=ddpm"], "no samples are drawn, so sampler would have no effect"),
        (["--style", "dali"], "no annotation style 'dali' in this model; choose one of any"),
        (["--mm-per-pixel", "0"], "mm per pixel"),
        (["sampling.step=2"], "unknown sampling key 'step'; known keys: samples, sampler, steps"),
        (["steps=2"], "'steps=2' is not sampling.KEY=VALUE"),
        (["--samples", "2", "sampling.samples=3"], "sampling.samples and --samples are the same setting"),
    ],
)
def test_a_bad_option_ends_in_one_line_and_writes_nothing(
    tmp_path: Path, predict: Command, options: list[str], message: str
) -> None:
    status, out, err = predict(*options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert message in err
    assert not (tmp_path / "out").exists()


def test_several_places_and_outputs_are_chosen_by_repeating_an_option(
    tmp_path: Path, photos: Path, trained: Path, command: Command
) -> None:
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(photos / "p2.png", "in/q.png")
    places = ("-i", f"{photos}/p[01].png", "-i", tmp_path / "more.zip")
    what = ("-w", "contours", "-w", "coco", "-w", "spread", "--maps", "npy", "--table", "parquet")
    where = ("-o", tmp_path / "out", "--weights", trained, "--threads", "1")
    status, out, _ = command("predict", *places, *where, *what, "--samples", "2", "--mm-per-pixel", "0.5")
    assert (status, out) == (0, f"3 of 3 images segmented: {tmp_path / 'out'}\n")
    rows = parquet.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert [row["image"] for row in rows] == ["p0.png", "p1.png", "q.png"]
    assert all(row["area_mm2"] == row["area"] / 4 for row in rows)
    assert np.load(tmp_path / "out" / "spreads" / "q.npy").shape == (45, 90)
    assert json.loads((tmp_path / "out" / "contours" / "q.geojson").read_text())["width"] == 90
    assert len(json.loads((tmp_path / "out" / "coco.json").read_text())["images"]) == 3


@pytest.mark.parametrize(("option", "name"), [("source", "empty"), ("source", "absent"), ("model", "empty")])
def test_an_empty_folder_and_absent_weights_end_in_one_line(
    tmp_path: Path, predict: Command, option: str, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    status, out, err = predict(**{option: tmp_path / name})
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert str(tmp_path / name) in err
    assert not (tmp_path / "out").exists()


def test_json_has_the_rows_of_the_table_and_errors_are_still_reported(
    tmp_path: Path, photos: Path, predict: Command
) -> None:
    (photos / "p9.png").write_bytes(b"not an image")
    (photos / "notes.txt").touch()
    status, out, error = predict("--json", "--quiet")
    assert status == 1
    assert [line.split(":")[0] for line in error.splitlines()] == ["skipped", "left out"]
    found = json.loads(out)
    assert (found["output"], found["failed"]) == (str(tmp_path / "out"), 1)
    with Path(found["table"]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found["images"]) == 4
    for row, one in zip(rows, found["images"], strict=True):
        assert row["image"] == one["image"]
        assert row["status"] == one["status"]
        assert row["area"] == ("" if one["area"] is None else str(one["area"]))
    status, out, error = predict("--json")
    assert json.loads(out) == found
    assert "left out: 1 not images by their extension (.txt), 1 unreadable" in error
    assert "3 of 4 images segmented" in error


def test_images_are_arguments_too_and_subfolders_are_searched_on_request(
    tmp_path: Path, photos: Path, trained: Path, command: Command
) -> None:
    (photos / "inner" / "deep").mkdir(parents=True)
    for name, target in (("p0", "inner/q0"), ("p1", "inner/deep/q1"), ("p1", "inner/deep/.q2")):
        (photos / f"{target}.png").write_bytes((photos / f"{name}.png").read_bytes())
    (photos / "Thumbs.db").touch()
    where = ("-o", tmp_path / "out", "--weights", trained, "--threads", "1")
    status, out, err = command("predict", photos, *where)
    assert (status, out) == (0, f"3 of 3 images segmented: {tmp_path / 'out'}\n")
    assert err == "left out: 2 images in 2 subfolders (--recursive includes them)\n"
    status, out, err = command("predict", "-r", photos, *where)
    assert (status, out, err) == (0, f"5 of 5 images segmented: {tmp_path / 'out'}\n", "")
    masks = sorted(path.name for path in (tmp_path / "out" / "masks").iterdir())
    assert masks == ["p0.png", "p1.png", "p2.png", "q0.png", "q1.png"]
    (photos / "inner" / "p0.jpg").touch()
    status, _, err = command("predict", "-r", photos, *where)
    assert (status, "would both write the mask p0.png; rename one, or" in err) == (2, True)
    status, _, err = command("predict", *where)
    assert (status, err.startswith("error: no images are given; for example")) == (2, True)


def test_quiet_prints_nothing_without_errors(predict: Command) -> None:
    assert predict("-q") == (0, "", "")


def test_a_page_to_review_the_cases_is_written_on_request(
    tmp_path: Path, photos: Path, predict: Command
) -> None:
    (photos / "p0.png").write_bytes(b"broken")
    status, _, _ = predict("-w", "review")
    assert status == 1
    page = (tmp_path / "out" / "review.html").read_text()
    assert page.index("p0.png") < page.index("p1.png")
    assert sorted(path.name for path in (tmp_path / "out" / "review").iterdir()) == ["p1.jpg", "p2.jpg"]


def test_an_output_that_fails_is_reported_and_the_mask_is_there(tmp_path: Path, predict: Command) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "overlays").touch()
    status, out, error = predict("-w", "overlay")
    assert (status, out) == (1, f"3 of 3 images segmented: {tmp_path / 'out'}\n")
    assert error.count("incomplete: p") == 3
    assert "incomplete: p1.png: overlay: " in error
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 3


def test_outliers_are_flagged_and_refused_on_request(tmp_path: Path, photos: Path, command: Command) -> None:
    where = ("predict", "-i", SAMPLE, "-i", photos / "p1.png", "-o", tmp_path / "out", "--threads", "1")
    status, _, error = command(*where)
    assert (status, error) == (0, "")
    assert "not_dermoscopy" in (tmp_path / "out" / "predictions.csv").read_text().splitlines()[2]
    status, out, error = command(*where, "--refuse-outliers")
    table = tmp_path / "out" / "predictions.csv"
    assert (status, out) == (0, f"1 of 2 images segmented: {tmp_path / 'out'}\n")
    assert error.startswith(
        "refused: p1.png: not a dermoscopic image like the training images (outlier score "
    )
    assert error.endswith("left out: 1 refused as not dermoscopic\n")
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["sample_1.png"]
    assert table.read_text().splitlines()[2].startswith("p1.png,")


def test_refusing_needs_a_detector(tmp_path: Path, trained: Path, photos: Path, command: Command) -> None:
    status, _, error = command(
        "predict", "-i", photos / "p1.png", "-o", tmp_path / "out", "--weights", trained, "--refuse-outliers"
    )
    assert (status, error.count("\n")) == (2, 1)
    assert "these weights have no outlier detector" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [["--largest"], ["--threshold", "0.4"]])
def test_a_level_without_a_calibration_that_applies_is_warned_about(
    option: list[str], tmp_path: Path, command: Command
) -> None:
    sample = samples_folder() / "sample_1.png"
    status, _, error = command("predict", sample, "-o", tmp_path / "out", "--level", "80", *option)
    assert (status, error) == (
        0,
        "no intervals: they are for threshold 0.5 without --largest and --fill-holes\n",
    )


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("http://127.0.0.1:9/a.jpg?id=5", "a.jpg"),
        ("a=b.png", "a=b.png"),
        ("step=8", "'step=8' is not sampling.KEY=VALUE"),
    ],
)
def test_only_key_and_value_are_a_setting(
    argument: str, message: str, tmp_path: Path, command: Command
) -> None:
    sample = samples_folder() / "sample_1.png"
    status, _, error = command("predict", sample, argument, "-o", tmp_path / "out")
    assert status != 0
    assert message in error


def test_another_sampling_than_the_calibrated_one_gives_no_expected_dice_and_a_warning(
    tmp_path: Path, command: Command
) -> None:
    where = ("predict", "-i", SAMPLE, "-o", tmp_path / "out", "--threads", "1")
    status, _, error = command(*where)
    assert (status, error) == (0, "")
    assert only_row(tmp_path)["expected_dice"]
    status, _, error = command(*where, "--style", "ph2", "sampling.mirror=true")
    assert status == 0
    assert error == (
        "no expected Dice and no intervals: the weights are calibrated for sampling.mirror=False\n"
    )
    row = only_row(tmp_path)
    assert (row["expected_dice"], bool(row["certainty"])) == ("", True)
    status, _, error = command(*where, "--samples", "1", "-w", "spread")
    assert (status, error.count("\n")) == (2, 1)
    assert error.startswith("error: the spread map needs samples, but 1 are drawn")


def test_shards_are_written_on_request(tmp_path: Path, predict: Command) -> None:
    status, out, _ = predict("--shards", "tar", "--shard-size", "2")
    assert (status, out) == (0, f"3 of 3 images segmented into 2 shards: {tmp_path / 'out'}\n")
    assert [path.suffix for path in (tmp_path / "out" / "shards").iterdir()] == [".tar", ".tar"]


def test_shards_report_what_was_left_out_as_predict_does(
    tmp_path: Path, photos: Path, command: Command
) -> None:
    (photos / "notes.txt").touch()
    (photos / "inner").mkdir()
    (photos / "p2.png").rename(photos / "inner" / "p2.png")
    where = ("predict", photos, "-o", tmp_path / "out", "--shards", "tar", "--threads", "1", "--json")
    status, out, error = command(*where, "--refuse-outliers", "--threshold", "0.4", "--level", "90")
    assert status == 0
    assert error.splitlines() == [
        "no intervals: they are for threshold 0.5 without --largest and --fill-holes",
        f"0 of 2 images segmented into 1 shards: {tmp_path / 'out'}",
        "left out: 1 not images by their extension (.txt), 1 images in 1 subfolders (--recursive includes "
        "them), 2 refused as not dermoscopic",
    ]
    counts = {"failed": 0, "refused": 2, "not_images": 1, "in_subfolders": 1}
    found = json.loads(out)
    assert {name: found[name] for name in counts} == counts
    (line,) = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert json.loads(line)["refused"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard-size", "2"], "add --shards tar or --shards parquet"),
        (["--workers", "2"], "--workers needs --engine ray; add it, or leave out --workers"),
        (
            ["--shards", "tar", "-w", "overlay"],
            "only masks, contours and a table; leave out --write",
        ),
        (
            ["--shards", "tar", "--maps", "npy"],
            "only masks, contours and a table; leave out --maps",
        ),
        (["--engine", "ray", "--skip-existing"], "keeps finished shards anyway; leave out --skip-existing"),
        (["-w", "overlay", "--maps", "png"], "--maps needs -w probability or -w spread; leave out --maps"),
        (["--shards", "tar", "--precision", "auto"], "may differ between workers; give float32 or bf16"),
    ],
)
def test_options_without_an_effect_are_refused(predict: Command, options: list[str], message: str) -> None:
    status, _, error = predict(*options)
    assert (status, message in error) == (2, True)
