import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mlffm_segdiff.config.diffusion_config import DiffusionConfig
from mlffm_segdiff.config.packaged import recipe_names
from mlffm_segdiff.segmenters.recipe import load_recipe

Command = Callable[..., tuple[int, str, str]]


def curve(run: Path) -> list[float]:
    with (run / "logs" / "metrics.csv").open() as file:
        return [float(row["val_jaccard"]) for row in csv.DictReader(file) if row["val_jaccard"]]


def test_training_ends_by_naming_its_folder_and_best_score(
    command: Command, lesions: Path, tmp_path: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, printed, error = command(
        "train", "synthetic", *tiny, "--source", f"folder={lesions}", "--threads", 1
    )
    assert (status, error) == (0, "")
    named = re.search(
        r"^best validation Jaccard (\S+)\nrun folder: (runs/synthetic-\d{8}-\d{6})\n\Z", printed, re.M
    )
    assert named is not None, printed
    run = tmp_path / named[2]
    assert named[1] == f"{max(curve(run)):.4f}"
    assert (run / "weights" / "model.safetensors").is_file()


def test_key_value_source_and_split_reach_the_run(
    command: Command, lesions: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    split, run = tmp_path / "my split=1, [a].csv", tmp_path / "run"
    names = sorted(path.stem for path in (lesions / "images").iterdir())
    parts = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    split.write_text(
        "id,part\n" + "".join(f"{key},{part}\n" for key, part in zip(names, parts, strict=False))
    )
    source = ("--source", f"folder={lesions}", "--split", split)
    status, _, error = command("train", "synthetic", *tiny, "seed=7", *source, "--run", run, "--threads", 1)
    assert (status, error) == (0, "")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["sources"] == {"folder": str(lesions)}
    assert config["data"]["split"] == str(split)
    assert (config["seed"], config["data"]["size"], config["model"]["size"]) == (7, 32, "tiny")
    environment = json.loads((run / "environment.json").read_text())
    assert environment["threads"] == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_stopped_training_prints_how_to_resume_and_resume_works(
    command: Command,
    lesions: Path,
    tmp_path: Path,
    tiny: tuple[str, ...],
    number: int,
    status: int,
    word: str,
) -> None:
    run = tmp_path / "run"
    arguments = ["train", "synthetic", *tiny, "train.images=100000", "--source", f"folder={lesions}"]
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job may ignore it
        "from mlffm_segdiff.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments, "--run", str(run), "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    validations = (line for line in process.stdout if "validation Jaccard" in line)
    assert next(validations)
    assert next(validations), "the first checkpoint is whole"
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    go_on = f"mlffm-segdiff train --resume --run {run}"
    assert process.returncode == status
    assert error == f"stopped; resume with: {go_on}\n{word}\n"
    assert not list(run.rglob(".part-*"))

    recipe = run / "config.yaml"  # the rest of 100,000 images would take minutes
    recipe.write_text(recipe.read_text().replace("images: 100000", f"images: {16 * (len(curve(run)) + 2)}"))
    seen = curve(run)
    status, printed, error = command(*go_on.split()[1:], "--threads", 1)
    assert (status, error) == (0, "")
    assert curve(run)[: len(seen)] == seen
    assert f"best validation Jaccard {max(curve(run)):.4f}" in printed


def test_a_run_is_not_overwritten_and_not_resumed_as_another(
    command: Command, trained: Path, lesions: Path, tiny: tuple[str, ...]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    again = ("train", "synthetic", *tiny, "--source", f"folder={lesions}", "--run", trained)
    status, _, error = command(*again)
    assert status == 2
    assert "resume it" in error
    status, _, error = command(*again, "train.learning_rate=0.5", "--resume")
    assert status == 2
    assert "train.learning_rate=0.001, not 0.5" in error
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before
    resumed = ("train", "--resume", "--run", trained, "--threads", 1)
    status, _, error = command(*resumed, "train.images=5")
    assert status == 2
    assert "not 5; leave the recipe out" in error
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before
    assert command(*resumed, "train.devices=1")[0] == 0
    assert command(*again, "--resume", "--threads", 1)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], ["recipe"]),
        (["--resume"], ["--run"]),
        (["--resume", "--run", "runs/none"], ["runs/none"]),
        (["--resume", "--run", "runs/none", "--source", "ph2=x"], ["leave out"]),
        (["isic2017"], ["isic2017", "isic2018"]),
        (["isic2018"], ["isic2018", "path"]),
        (["isic2018", "--source", "isic2018=nowhere"], ["nowhere"]),
        (["isic2018", "--source", "isic2019=nowhere"], ["unknown data set 'isic2019'", "isic2018"]),
        (["isic2018", "--source", "isic2018="], ["isic2018=", "NAME=PATH"]),
        (["synthetic", "--split", "nowhere.csv", "data.synthetic_count=2"], ["nowhere.csv"]),
        (["synthetic", "train.imagse=3"], ["train.imagse", "train.images"]),
        (["synthetic", "train.images"], ["train.images", "key=value"]),
    ],
)
def test_bad_input_is_reported_in_one_line_and_leaves_nothing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, printed, error = command("train", *arguments)
    assert (status, printed) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(name in error for name in names), error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", recipe_names())
def test_each_recipe_of_the_package_loads_and_is_in_the_help(command: Command, name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert set(recipe.data.sources.values()) == {None}, "a packaged recipe names no folder of ours"
    described = re.split(r"[^\w]+", command("train", "--help")[1])
    assert name in described


@pytest.mark.parametrize("name", recipe_names())
def test_each_recipe_begins_with_what_it_is_and_its_command(name: str) -> None:
    text = (files("mlffm_segdiff.config") / "recipes" / f"{name}.yaml").read_text()
    comment = " ".join(line[1:] for line in text.splitlines() if line.startswith("#"))
    documented = re.search(r"Run: mlffm-segdiff train (\S+)((?:\s+--source \w+=FOLDER)*)\s*\Z", comment)
    assert documented is not None, comment
    assert documented[1] == name
    needed = {source for source in load_recipe(name).data.sources if source != "synthetic"}
    assert set(re.findall(r"--source (\w+)=", documented[2])) == needed


def test_the_control_differs_from_isic2018_in_its_diffusion_and_its_plain_loss() -> None:
    control, ours = load_recipe("epsilon"), load_recipe("isic2018")
    assert (control.model, control.augment) == (ours.model, ours.augment)
    assert control.loss == ours.loss.model_copy(update={"weight": "none"})
    assert control.data == ours.data
    assert control.train.model_copy(update={"validate_every": ours.train.validate_every}) == ours.train
    assert control.diffusion.model_dump() == {
        "objective": "epsilon",
        "schedule": "linear",
        "train_steps": 250,
        "beta_start": 4e-4,
        "beta_end": 0.08,
        "mask_scale": 1.0,
        "noisy_bias": 1.0,
        "self_conditioning": False,
        "training": "single",
        **{
            key: getattr(DiffusionConfig(), key) for key in ("noisy_share", "noisy_weight", "recycling_shift")
        },
    }
    sampling = control.sampling
    assert (sampling.sampler, sampling.steps, sampling.samples) == ("ddpm", 250, 1)


@pytest.mark.parametrize(("unet", "name"), [("unet", "isic2018"), ("unet_ph2", "ph2")])
def test_the_unet_is_trained_as_ours_is(unet: str, name: str) -> None:
    control, ours = load_recipe(unet), load_recipe(name)
    assert control.model_dump(exclude={"name", "model"}) == ours.model_dump(exclude={"name", "model"})
    assert control.model.name == "unet"


def test_the_unmodified_backbone_differs_from_isic2018_as_the_first_control_does_but_in_its_times() -> None:
    """Ho et al. 2020, section 4: T = 1000, beta from 1e-4 to 0.02, the noise as objective."""
    backbone, control = load_recipe("diffusion_unet_linear"), load_recipe("epsilon")
    ho = {"train_steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
    assert backbone.diffusion == control.diffusion.model_copy(update=ho)
    sampling = backbone.sampling
    assert (sampling.sampler, sampling.steps, sampling.samples) == ("ddpm", 100, 1)
    assert (backbone.loss, backbone.train, backbone.data) == (control.loss, control.train, control.data)
    assert backbone.model == load_recipe("diffusion_unet").model


def test_json_names_run_and_score_and_words_go_to_standard_error(
    command: Command, lesions: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    run = tmp_path / "run"
    where = ("train", "synthetic", *tiny, "--source", f"folder={lesions}", "--threads", 1, "--run", run)
    status, printed, error = command(*where, "--json")
    assert status == 0
    found = json.loads(printed)
    assert found == {"run": str(run), "best_validation_jaccard": pytest.approx(max(curve(run)), abs=1e-6)}
    assert f"run folder: {run}" in error
    assert command("train", "--resume", "--run", run, "--quiet") == (0, "", "")


def change_masks(lesions: Path, folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """A copy of the lesions with other masks."""
    shutil.copytree(lesions, folder)
    for path in (folder / "masks").iterdir():
        Image.fromarray(change(np.asarray(Image.open(path)))).save(path)
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mask: (mask > 0) + np.uint8(1), "16 of 16 cases cannot be used"),
        (lambda mask: (mask > 0) * (np.tri(48, dtype=np.uint8) + np.uint8(1)), "has the values 0, 1, 2"),
        (lambda mask: mask * 0, "of the 14 masks in part 'train' none has a lesion"),
    ],
)
def test_masks_that_check_refuses_training_refuses_too(
    command: Command,
    lesions: Path,
    tmp_path: Path,
    tiny: tuple[str, ...],
    change: Callable[[np.ndarray], np.ndarray],
    message: str,
) -> None:
    own = change_masks(lesions, tmp_path / "own", change)
    assert command("data", "check", "folder", own)[0] == 1
    source = ("--source", f"folder={own}", "--run", tmp_path / "run")
    status, printed, error = command("train", "synthetic", *tiny, *source)
    assert (status, printed) == (2, "")
    assert message in error
    assert error.count("\n") == 1


def test_perhaps_inverted_masks_are_shown_by_check_and_said_by_training(
    command: Command, lesions: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    own = change_masks(lesions, tmp_path / "own", lambda mask: 255 - mask)
    status, printed, _ = command("data", "check", "folder", own)
    assert status == 1
    assert "perhaps inverted" in printed
    source = ("--source", f"folder={own}")
    status, _, error = command("train", "synthetic", *tiny, *source, "--run", tmp_path / "run")
    assert status == 0
    assert "the masks in part 'train' are perhaps inverted" in error
    assert command("train", "synthetic", *tiny, *source, "--run", tmp_path / "quiet", "-q")[2] == ""


def test_plan_says_how_long_it_takes_and_trains_nothing(
    command: Command, lesions: Path, tmp_path: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = ("train", "synthetic", *tiny, "--source", f"folder={lesions}", "--threads", 1, "--plan")
    status, printed, error = command(*where)
    assert (status, error) == (0, "")
    assert re.fullmatch(
        r"about \d+ s on this machine \(20 steps measured: \S+ s a step; 2 validations of \S+ s\)\n", printed
    )
    found = json.loads(command(*where, "--json")[1])
    assert (found["steps"], found["validations"], found["validation_images"]) == (2, 2, 2)
    assert found["seconds"] > found["steps"] * found["step_seconds"]
    assert list(tmp_path.iterdir()) == []
    status, _, error = command("train", "synthetic", "--plan", "--run", tmp_path)
    assert (status, error) == (2, "error: --plan trains nothing; leave out --run\n")
    status, _, error = command("train", "--plan", "--resume", "--run", tmp_path)
    assert (status, error) == (2, "error: --plan is for a new run; leave out --resume\n")
