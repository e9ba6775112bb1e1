import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import DataConfig
from mlffm_segdiff.data.sources import load_split_cases
from mlffm_segdiff.data.splits import load_split, make_split, save_split
from mlffm_segdiff.data.table import read_cases
from mlffm_segdiff.evaluation.pipeline import evaluate_masks, write_evaluation
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.training.run_folder import RunFolder

Command = Callable[..., tuple[int, str, str]]
FIGURES = {"contours.png", "jaccard_histogram.png", "jaccard_by_size.png"}
TABLES = {"cases.csv", "summary.json"}
QUALITY = {"quality.csv", "retention.png"}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "cases.csv").open() as file:
        return list(csv.DictReader(file))


def summary(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = json.loads((folder / "summary.json").read_text())
    return found


def save_masks(folder: Path, **widths: int) -> Path:
    """Masks of 10 x 20 pixels whose left columns are lesion, `widths` of them by name."""
    folder.mkdir()
    for name, width in widths.items():
        mask = np.zeros((10, 20), np.uint8)
        mask[:, :width] = 255
        Image.fromarray(mask).save(folder / f"{name}.png")
    return folder


def test_a_run_scores_on_its_validation_part_what_training_reported(
    command: Command, trained: Path, tmp_path: Path
) -> None:
    status, printed, error = command("evaluate", trained, "--part", "val", "-o", tmp_path / "scores")
    assert (status, error) == (0, "")
    found = summary(tmp_path / "scores")
    assert found["network"]["pooled"]["jaccard"] == pytest.approx(RunFolder(trained).best_jaccard(), abs=1e-6)
    assert f"{found['network']['pooled']['jaccard']:.4f}" in printed
    assert printed.index("at network size, 2 cases") < printed.index("at source size, 2 cases")


def test_the_test_part_is_scored_case_by_case_at_both_sizes(
    command: Command, trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "scores"
    status, printed, _ = command("evaluate", trained, "-o", folder, "--threads", 1)
    assert status == 0
    assert {path.name for path in folder.iterdir()} == TABLES | FIGURES | QUALITY
    for name in FIGURES:
        with Image.open(folder / name) as figure:
            figure.verify()
    cases = rows(folder)
    assert len(cases) == 4
    counts = {
        prefix: [sum(int(case[prefix + name]) for case in cases) for name in ("tp", "fp", "fn", "tn")]
        for prefix in ("", "network_")
    }
    assert (sum(counts[""]), sum(counts["network_"])) == (4 * 48 * 48, 4 * 32 * 32)
    for prefix, size in (("", "source"), ("network_", "network")):
        tp, fp, fn, _ = counts[prefix]
        assert summary(folder)[size]["pooled"]["jaccard"] == pytest.approx(tp / (tp + fp + fn))
        mean = np.mean([float(case[prefix + "jaccard"]) for case in cases])
        assert summary(folder)[size]["per_image"]["jaccard"]["mean"] == pytest.approx(mean, abs=1e-6)
    assert str(folder) in printed.splitlines()[-1]


def test_a_run_is_calibrated_on_its_validation_part(
    command: Command, trained: Path, lesions: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    status, printed, _ = command("evaluate", run, "--part", "val", "--calibrate", "-o", tmp_path / "val")
    assert (status, printed.splitlines()[-1]) == (0, f"calibrated on 2 cases: {run}/weights/quality.json")
    known = load_pretrained(run).quality
    assert known is not None
    assert (known.sources, known.cases, known.training_images) == (("folder",), 2, 14)

    status, printed, _ = command("evaluate", run, "-o", tmp_path / "test")
    assert status == 0
    assert {path.name for path in (tmp_path / "test").iterdir()} == TABLES | FIGURES | QUALITY | {
        "reliability.png"
    }
    with (tmp_path / "test" / "quality.csv").open() as file:
        cases = list(csv.DictReader(file))
    assert len(cases) == 4
    for case in cases:
        expected = known.styles["any"].calibration.expected_dice(float(case["certainty"]))
        assert float(case["expected_dice"]) == pytest.approx(expected, abs=1e-4)
    found_quality = summary(tmp_path / "test")["quality"]
    assert found_quality["bad"] == sum(float(case["jaccard"]) < 0.65 for case in cases)
    if found_quality["bad"]:
        assert (
            f"bad masks (Jaccard below 0.65): {found_quality['bad']}; among the least certain 10%: "
            in printed
        )

    status, _, _ = command("predict", "-i", lesions / "images", "-o", tmp_path / "out", "--weights", run)
    assert status == 0
    with (tmp_path / "out" / "predictions.csv").open() as file:
        assert all(0 <= float(row["expected_dice"]) <= 1 for row in csv.DictReader(file))

    status, _, _ = command("evaluate", run, "-o", tmp_path / "samples", "--samples", "2")
    assert status == 0
    assert {path.name for path in (tmp_path / "samples").iterdir()} == TABLES | FIGURES | QUALITY
    with (tmp_path / "samples" / "quality.csv").open() as file:
        for case in csv.DictReader(file):
            assert (0 <= float(case["agreement"]) <= 1, case["expected_dice"]) == (True, "")


def test_calibrating_on_other_parts_or_on_masks_is_refused(
    command: Command, trained: Path, tmp_path: Path
) -> None:
    for options in ([trained, "--part", "test"], ["--masks", tmp_path, "--truth", tmp_path]):
        status, _, error = command("evaluate", *options, "--calibrate", "-o", tmp_path / "out")
        assert (status, error.count("\n")) == (2, 1)
        assert "--calibrate" in error
    assert not (trained / "weights" / "quality.json").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--part", "val"),
        ("--threads", "1"),
        ("--device", "cpu"),
        ("--style", "ph2"),
        ("--samples", "2"),
        ("--source", "ph2"),
        ("--split", "split.csv"),
    ],
)
def test_options_of_a_model_are_refused_for_masks(
    command: Command, tmp_path: Path, option: tuple[str, str]
) -> None:
    where = ("--masks", tmp_path, "--truth", tmp_path, "-o", tmp_path / "out")
    status, _, error = command("evaluate", *where, *option)
    assert (status, error) == (2, f"error: --masks are scored without a model; leave out {option[0]}\n")


def test_weights_are_scored_on_another_set_by_another_split_and_sampling(
    command: Command, trained: Path, lesions: Path, tmp_path: Path
) -> None:
    split, moved = tmp_path / "split.csv", tmp_path / "moved"
    moved.symlink_to(lesions)
    save_split(make_split(read_cases("folder", lesions), (2, 3, 15), seed=1), split)
    options = ("--source", f"folder={moved}", "--split", split, "--samples", 3)
    status, _, error = command(
        "evaluate",
        trained / "weights",
        "sampling.steps=2",
        "sampling.seed=9",
        "sampling.sampler=ddpm",
        "sampling.fusion=staple",
        *options,
        "--part",
        "val",
        "-o",
        tmp_path / "scores",
    )
    assert status == 0
    assert "of 3 cases in part 'val', such as " in error
    assert "have ids from training of these weights, so their scores may be too high" in error
    assert tuple(case["id"] for case in rows(tmp_path / "scores")) == load_split(split).val
    facts = json.loads((tmp_path / "scores" / "summary.json").read_text())
    drawn = {
        "steps": 2,
        "samples": 3,
        "seed": 9,
        "sampler": "ddpm",
        "mirror": False,
        "second_look": False,
        "fusion": "staple",
        "style": "any",
        "widening": 1.0,
        "logit_spread": 0.0,
    }
    assert facts["sampling"] == drawn
    assert (facts["sources"], facts["part"], facts["size"]) == ({"folder": str(moved)}, "val", 32)
    assert facts["split"] == load_split(split).digest()


def test_cases_that_a_run_was_trained_on_are_not_scored_as_a_test(
    command: Command, tiny: tuple[str, ...], lesions: Path, tmp_path: Path
) -> None:
    own, trained, scores = tmp_path / "own", tmp_path / "run", tmp_path / "scores"
    shutil.copytree(lesions, own)
    command("train", "synthetic", *tiny, "--source", f"folder={own}", "--run", trained, "--threads", 1)
    before = load_split(trained / "split.csv")
    assert before == load_split_cases(DataConfig.model_validate({"sources": {"folder": own}})).split
    for folder, path in ((path.parent, path) for path in [*own.glob("*/*.png")][:8]):
        shutil.copy(path, folder / f"a_{path.name}")
    status, printed, error = command("evaluate", trained, "-o", scores)
    assert (status, printed, error.count("\n")) == (2, "", 1)
    assert re.search(
        r"\d of \d cases in part 'test', such as \S+, have ids from training or validation", error
    )
    assert f"use the run's split by --split {trained / 'split.csv'}" in error
    assert not scores.exists()
    assert command("evaluate", trained, "--split", trained / "split.csv", "-o", scores)[::2] == (0, "")
    assert tuple(case["id"] for case in rows(scores)) == before.test


@pytest.mark.parametrize("where", ["masks", "truth", "truth/scores"])
def test_scores_are_not_written_among_the_masks(command: Command, tmp_path: Path, where: str) -> None:
    truth, masks = save_masks(tmp_path / "truth", a=10), save_masks(tmp_path / "masks", a=10)
    before = sorted(tmp_path.rglob("*"))
    status, printed, error = command("evaluate", "--masks", masks, "--truth", truth, "-o", tmp_path / where)
    assert (status, printed, error.count("\n")) == (2, "", 1)
    assert f"{where} is the folder of masks or images" in error
    with pytest.raises(UserError, match="is the folder of masks or images"):
        write_evaluation(evaluate_masks(masks, truth), tmp_path / where)
    assert sorted(tmp_path.rglob("*")) == before


def test_masks_of_any_program_are_scored_against_true_masks(command: Command, tmp_path: Path) -> None:
    truth = save_masks(tmp_path / "truth", a=10, b=10, c_segmentation=8)
    masks = save_masks(tmp_path / "masks", a=10, b=5, c=16)
    status, printed, error = command(
        "evaluate", "--masks", masks, "--truth", truth, "-o", tmp_path / "scores"
    )
    assert (status, error) == (0, "")
    assert {path.name for path in (tmp_path / "scores").iterdir()} == TABLES | FIGURES
    assert {case["id"]: float(case["jaccard"]) for case in rows(tmp_path / "scores")} == {
        "a": 1,
        "b": 0.5,
        "c": 0.5,
    }
    assert summary(tmp_path / "scores")["source"]["pooled"]["jaccard"] == pytest.approx(23 / 36)
    assert "0.6389" in printed
    assert "network" not in printed


def test_the_home_folder_may_be_written_as_its_sign(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell leaves it in --output=~/scores."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.fromarray(np.tri(8, dtype=np.uint8) * np.uint8(255)).save(masks / "a.png")
    status, _, err = command("evaluate", "--masks=~/masks", "--truth=~/masks", "--output=~/scores")
    assert (status, "against itself" in err) == (0, True)
    assert (tmp_path / "scores" / "cases.csv").is_file()


def test_ground_truth_against_itself_is_a_warning(command: Command, tmp_path: Path) -> None:
    truth = save_masks(tmp_path / "truth", a=10)
    status, _, error = command("evaluate", "--masks", truth, "--truth", truth, "-o", tmp_path / "scores")
    assert status == 0
    assert error.startswith("--masks and --truth are the same folder: ")


def test_missing_predictions_are_named_and_set_the_exit_status(command: Command, tmp_path: Path) -> None:
    truth = save_masks(tmp_path / "truth", a=10, b=10, c=10)
    masks = save_masks(tmp_path / "masks", b=10, x=3)
    status, _, error = command("evaluate", "--masks", masks, "--truth", truth, "-o", tmp_path / "scores")
    assert status == 1
    assert error == "1 masks have no ground truth: x\n2 cases of the ground truth have no prediction: a, c\n"
    facts = json.loads((tmp_path / "scores" / "summary.json").read_text())
    assert (facts["missing"], facts["extra"], facts["source"]["cases"]) == (["a", "c"], ["x"], 1)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], ["--masks", "--truth"]),
        (["RUN", "--masks", "m", "--truth", "t"], ["either"]),
        (["--masks", "m"], ["--truth"]),
        (["--masks", "nowhere", "--truth", "nowhere"], ["nowhere"]),
        (["RUN", "--source", "ph2"], ["ph2", "--source ph2=FOLDER"]),
        (["RUN", "--source", "ph2=nowhere"], ["nowhere"]),
        (["RUN", "--split", "nowhere.csv"], ["nowhere.csv"]),
        (["RUN", "sampling.steps=0", "--samples", "2"], ["sampling.steps"]),
        (["RUN", "sampling.sampler=euler", "--samples", "2"], ["sampling.sampler", "ddim"]),
        (["RUN", "sampling.steps=2"], ["no samples are drawn", "set samples to 1 or more"]),
        (["RUN", "--style", "dali"], ["'dali'", "any"]),
    ],
)
def test_bad_input_is_reported_in_one_line_and_leaves_nothing(
    command: Command,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    names: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    called = [str(trained) if argument == "RUN" else argument for argument in arguments]
    status, printed, error = command("evaluate", *called, "-o", "scores")
    assert (status, printed) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(name in error for name in names), error
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_a_file_is_reported_before_any_work(
    command: Command, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    status, _, error = command("evaluate", trained, "-o", tmp_path / "file")
    assert status == 2
    assert str(tmp_path / "file") in error
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_as_nnunet_predicts_it_is_scored_against_its_labels(
    command: Command, lesions: Path, tmp_path: Path
) -> None:
    """nnUNetv2_predict writes CASE.png of 0 and 1, its own JSON files next to them, and no suffix."""
    raw, masks = tmp_path / "Dataset001_Lesions", tmp_path / "predicted"
    assert command("data", "nnunet", "folder", lesions, "-o", raw)[0] == 0
    masks.mkdir()
    names = sorted(path.name for path in (raw / "labelsTs").iterdir())
    expected = {}
    for number, name in enumerate(names):
        truth = np.asarray(Image.open(raw / "labelsTs" / name))
        upper = truth * (np.arange(48) < 24)[:, None]
        found = [truth, np.zeros_like(truth), np.ones_like(truth), upper.astype(np.uint8)][number]
        Image.fromarray(found).save(masks / name)
        expected[name.removesuffix(".png")] = (found & truth).sum() / (found | truth).sum()
    for name in ("dataset.json", "plans.json", "predict_from_raw_data_args.json"):
        (masks / name).write_text("{}")
    assert len(expected) == 4
    status, _, error = command(
        "evaluate", "--masks", masks, "--truth", raw / "labelsTs", "-o", tmp_path / "scores"
    )
    assert (status, error) == (0, "")
    scores = {case["id"]: float(case["jaccard"]) for case in rows(tmp_path / "scores")}
    assert scores == pytest.approx(expected, abs=1e-6)
    assert len(set(scores.values())) == 4


def test_json_is_the_summary_with_its_folder(command: Command, tmp_path: Path) -> None:
    masks = save_masks(tmp_path / "masks", a=5, b=9)
    truth = save_masks(tmp_path / "truth", a=5, b=8, c=3)
    where = ("evaluate", "--masks", masks, "--truth", truth, "-o", tmp_path / "scores", "--json", "--quiet")
    status, printed, error = command(*where)
    assert (status, error) == (1, "1 cases of the ground truth have no prediction: c\n")
    assert json.loads(printed) == {"output": str(tmp_path / "scores"), **summary(tmp_path / "scores")}


def test_quiet_prints_nothing(command: Command, trained: Path, tmp_path: Path) -> None:
    where = ("evaluate", trained, "--part", "val", "-o", tmp_path / "scores", "--threads", 1)
    assert command(*where, "-q") == (0, "", "")
    status, printed, error = command(*where, "--json")
    found = json.loads(printed)
    assert status == 0
    assert found["network"] == summary(tmp_path / "scores")["network"]
    assert found["sources"] == summary(tmp_path / "scores")["sources"]
    assert "at network size, 2 cases" in error


def test_a_second_evaluation_replaces_the_files_of_the_first_and_keeps_the_users(
    command: Command, trained: Path, lesions: Path, tmp_path: Path
) -> None:
    scores, masks = tmp_path / "scores", lesions / "masks"
    assert command("evaluate", trained, "-o", scores, "--threads", 1)[0] == 0
    (scores / "notes.txt").write_text("mine")
    assert command("evaluate", "--masks", masks, "--truth", masks, "-o", scores)[0] == 0
    assert {path.name for path in scores.iterdir()} == TABLES | FIGURES | {"notes.txt"}
    assert set(json.loads((scores / "summary.json").read_text())["files"]) == TABLES | FIGURES


def test_a_table_of_the_users_is_not_overwritten(command: Command, lesions: Path, tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("mine")
    masks = lesions / "masks"
    status, _, error = command("evaluate", "--masks", masks, "--truth", masks, "-o", tmp_path)
    assert (status, error.count("\n")) == (2, 1)
    assert "cases.csv exists, but no earlier run wrote it" in error
    assert [path.name for path in tmp_path.iterdir()] == ["cases.csv"]


def test_an_evaluation_killed_while_it_replaces_another_can_be_repeated(
    command: Command, lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, masks = tmp_path / "scores", lesions / "masks"
    arguments = ("evaluate", "--masks", masks, "--truth", masks, "-o", scores)
    assert command(*arguments)[0] == 0
    before = {path.name: path.read_bytes() for path in scores.iterdir()}

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mlffm_segdiff.evaluation.report.summaries", stop)
        assert command(*arguments)[0] == 130
    assert command(*arguments)[0] == 0
    assert {path.name: path.read_bytes() for path in scores.iterdir()} == before
