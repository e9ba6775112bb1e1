import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.cli.data import NameArgument
from mlffm_segdiff.config.schema import DataConfig
from mlffm_segdiff.data.sources import load_split_cases
from mlffm_segdiff.data.splits import load_split
from mlffm_segdiff.data.table import DATASETS

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def own(lesions: Path, tmp_path: Path) -> Path:
    """A copy of the lesions, to be damaged."""
    shutil.copytree(lesions, tmp_path / "own")
    return tmp_path / "own"


def image_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def words(printed: str) -> str:
    """The text of a table without its frame and line breaks."""
    return " ".join("".join(" " if "─" <= letter <= "╿" else letter for letter in printed).split())


def test_the_help_lists_every_data_set() -> None:
    """By hand, since importing the table takes longer than the help may."""
    (argument,) = NameArgument.__metadata__
    assert sorted(re.findall(r"\w+", argument.help.replace(" or ", " "))) == sorted(DATASETS)


def test_a_sound_data_set_is_fit_for_training(command: Command, lesions: Path) -> None:
    assert command("data", "check", "folder", lesions) == (
        0,
        "20 pairs of image and mask; ready for training\n",
        "",
    )


def test_the_number_of_groups_is_shown(command: Command, own: Path) -> None:
    names = sorted(path.stem for path in (own / "images").iterdir())
    (own / "groups.csv").write_text("id,group\n" + "".join(f"{name},anna\n" for name in names[:5]))
    grouped = f"in {len(names) - 4} groups; ready for training"
    assert grouped in words(command("data", "check", "folder", own)[1])
    assert json.loads(command("data", "check", "folder", own, "--json")[1])["groups"] == len(names) - 4


def test_what_affects_training_is_in_a_table_and_in_the_exit_status(command: Command, own: Path) -> None:
    images = sorted((own / "images").iterdir())
    (own / "masks" / images[0].name).unlink()
    images[1].write_bytes(images[1].read_bytes()[:100])
    status, printed, _ = command("data", "check", "folder", own)
    assert status == 1
    said = words(printed)
    assert f"missing mask 1 yes {images[0].stem} has an image" in said
    assert "unreadable file 1 yes" in said
    assert said.endswith("19 pairs of image and mask; training would be affected")


def test_what_does_not_affect_training_is_shown_with_status_0(command: Command, own: Path) -> None:
    mask = min((own / "masks").iterdir())
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(mask)
    status, printed, _ = command("data", "check", "folder", own)
    assert status == 0
    assert f"empty mask 1 no {mask.name}" in words(printed)


def test_a_group_in_two_parts_of_the_users_split_is_found(
    command: Command, own: Path, tmp_path: Path
) -> None:
    names = sorted(path.stem for path in (own / "images").iterdir())
    (own / "groups.csv").write_text(
        "id,group\n" + "".join(f"{key},patient{n // 2}\n" for n, key in enumerate(names))
    )
    split = tmp_path / "split.csv"
    split.write_text(
        "id,part\n" + "".join(f"{key},{'val' if n == 3 else 'train'}\n" for n, key in enumerate(names))
    )
    status, printed, _ = command("data", "check", "folder", own, "--split", split)
    assert status == 1
    assert "group in two parts 1 yes patient1 (train, val)" in words(printed)


def test_a_split_has_the_requested_sizes_and_keeps_groups_together(
    command: Command, own: Path, tmp_path: Path
) -> None:
    names = sorted(path.stem for path in (own / "images").iterdir())
    (own / "groups.csv").write_text(
        "id,group\n" + "".join(f"{key},patient{n // 2}\n" for n, key in enumerate(names))
    )
    file = tmp_path / "new" / "split.csv"
    status, printed, _ = command("data", "split", "folder", own, "--sizes", "12/2/6", "--seed", 4, "-o", file)
    assert status == 0
    split = load_split(file)
    assert (len(split.train), len(split.val), len(split.test)) == (12, 2, 6)
    assert printed == f"{file}: train 12, val 2, test 6, in 10 groups; digest {split.digest()}\n"
    with file.open() as lines:
        parts = {(row["group"], row["part"]) for row in csv.DictReader(lines)}
    assert len(parts) == 10
    assert command("data", "check", "folder", own, "--split", file)[0] == 0


def test_by_image_groups_are_ignored_and_the_leak_is_reported(
    command: Command, own: Path, tmp_path: Path
) -> None:
    names = sorted(path.stem for path in (own / "images").iterdir())
    (own / "groups.csv").write_text(
        "id,group\n" + "".join(f"{key},patient{n // 2}\n" for n, key in enumerate(names))
    )
    file = tmp_path / "split.csv"
    options = ("--sizes", "11/3/6", "--by", "image", "-o", file)
    status, _, error = command("data", "split", "folder", own, *options)
    assert status == 0
    with file.open() as lines:
        parts = [(row["group"], row["part"]) for row in csv.DictReader(lines)]
    seen = {group for group, part in parts if part != "test"}
    shared = sum(part == "test" and group in seen for group, part in parts)
    assert shared > 0
    assert error == f"{shared} of 6 test cases share their group with train or val\n"
    unshared = tmp_path / "without_leaks.csv"
    options = ("--sizes", "11/3/6", "--by", "image-without-leaks", "-o", unshared)
    assert command("data", "split", "folder", own, *options)[2] == ""
    with unshared.open() as lines:
        rest = [(row["group"], row["part"]) for row in csv.DictReader(lines)]
    tested = [group for group, part in parts if part == "test"]
    assert rest == [(group, part) for group, part in parts if part == "test" or group not in tested]


def test_a_seed_chooses_the_split(command: Command, lesions: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for file, seed in zip(files, (0, 0, 1), strict=True):
        command("data", "split", "folder", lesions, "--sizes", "10/5/5", "--seed", seed, "-o", file)
    first, again, other = (load_split(file) for file in files)
    assert first == again
    assert first != other


def test_a_split_replaces_no_other_file(command: Command, own: Path, tmp_path: Path) -> None:
    image, split = min((own / "images").iterdir()), tmp_path / "split.csv"
    make = ("data", "split", "folder", own, "--sizes", "12/4/4", "-o")
    assert command(*make, split)[0] == command(*make, split)[0] == 0
    for file, options in ((image, ()), (split, ("--seed", 1))):
        before = file.read_bytes()
        status, printed, error = command(*make, file, *options)
        assert (status, printed) == (2, "")
        assert f"{file} exists with other contents; choose another name" in error
        assert file.read_bytes() == before


def test_a_pair_without_its_mask_is_in_no_part(command: Command, own: Path, tmp_path: Path) -> None:
    lone = min((own / "masks").iterdir())
    lone.unlink()
    status, _, _ = command("data", "split", "folder", own, "--sizes", "15/2/2", "-o", tmp_path / "split.csv")
    assert status == 0
    assert lone.stem not in (tmp_path / "split.csv").read_text()


def test_synthetic_cases_are_a_folder_that_the_reader_reads(command: Command, tmp_path: Path) -> None:
    made = tmp_path / "new" / "made"
    options = ("--count", 3, "--size", 40, "--seed", 5)
    status, printed, error = command("data", "synthetic", "-o", made, *options)
    assert (status, error) == (0, "")
    assert str(made) in printed
    assert command("data", "check", "folder", made)[:2] == (
        0,
        "3 pairs of image and mask; ready for training\n",
    )
    assert {image_size(path) for path in made.rglob("*.png")} == {(40, 40)}
    command("data", "synthetic", "-o", tmp_path / "again", *options)
    command("data", "synthetic", "-o", tmp_path / "other", *options[:-1], 6)
    name = "images/synthetic_00001.png"
    assert (made / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert (made / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["check", "isic2019", "."], ["isic2019", "isic2018"]),
        (["check", "isic2017", "."], ["ISIC-2017_Training_Data.zip"]),
        (["check", "isic2018", "nowhere"], ["nowhere"]),
        (["check", "isic2018", "."], ["ISIC2018_Task1-2_Training_Input"]),
        (["check", "folder", "LESIONS", "--split", "nowhere.csv"], ["nowhere.csv"]),
        (["split", "folder", "LESIONS", "--sizes", "10/10", "-o", "new.csv"], ["10/10", "TRAIN/VAL/TEST"]),
        (
            ["split", "folder", "LESIONS", "--sizes", "10/x/10", "-o", "new.csv"],
            ["10/x/10", "TRAIN/VAL/TEST"],
        ),
        (["split", "folder", "LESIONS", "--sizes", "10/10/10", "-o", "new.csv"], ["20"]),
        (["synthetic", "--count", "0", "-o", "new"], ["--count", "1"]),
        (["synthetic", "--count", "1", "--size", "8", "-o", "new"], ["--size", "32"]),
        (["synthetic", "--count", "1", "-o", "LESIONS"], ["exists"]),
        (["nnunet", "folder", "LESIONS", "-o", "LESIONS"], ["DatasetXXX_NAME"]),
        (["nnunet", "isic", "LESIONS", "-o", "Dataset001_A"], ["isic", "isic2018"]),
        (["nnunet", "folder", "LESIONS", "-o", "Dataset001_A", "--split", "nowhere.csv"], ["nowhere.csv"]),
        (["plan", "synthetic", "LESIONS"], ["synthetic", "folder"]),
        (["check", "nnunet", "LESIONS"], ["dataset.json"]),
    ],
)
def test_bad_input_is_reported_in_one_line_and_leaves_nothing(
    command: Command,
    lesions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    names: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    called = [str(lesions) if argument == "LESIONS" else argument for argument in arguments]
    status, printed, error = command("data", *called)
    assert (status, printed) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(name in error for name in names), error
    assert not list(tmp_path.iterdir())


def test_a_data_set_is_written_for_nnunet_and_trained_on_as_it_came(
    command: Command, lesions: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    raw, preprocessed = tmp_path / "raw" / "Dataset042_Lesions", tmp_path / "preprocessed"
    written = ("data", "nnunet", "folder", lesions, "-o", raw, "--preprocessed", preprocessed)
    status, printed, error = command(*written)
    assert (status, error) == (0, "")
    splits = preprocessed / "Dataset042_Lesions" / "splits_final.json"
    assert printed == (
        f"{raw}: train 14, val 2, test 4\n{splits}: fold 0 written\n"
        "nnU-Net's plan for 16 images, 48 high and 48 wide (median): patch 48 x 48, 4 stages, batch 2\n"
    )
    assert splits.read_bytes() == (raw / "splits_final.json").read_bytes()
    assert command(*written)[0] == 2
    assert command("data", "check", "nnunet", raw)[1] == "20 pairs of image and mask; ready for training\n"
    run = tmp_path / "run"
    source = ("--source", f"nnunet={raw}", "--run", run, "--threads", 1)
    assert command("train", "synthetic", *tiny, *source)[0] == 0
    digest = load_split_cases(DataConfig(sources={"folder": lesions})).digest
    assert json.loads((run / "environment.json").read_text())["split"] == digest


def test_nnunets_plan_is_printed_with_the_recipes_keys(command: Command, lesions: Path) -> None:
    assert command("data", "plan", "folder", lesions) == (
        0,
        "folder: train 14, val 2, test 4\n"
        "nnU-Net's plan for 16 images, 128 high and 128 wide (median): patch 128 x 128, 6 stages, batch 2\n"
        "recipe nnunet: data.size=128 model.image_size=128 train.batch_size=2\n",
        "",
    )
    printed = command("data", "plan", "folder", lesions, "--size", 100)[1]
    assert "recipe nnunet: data.size=112 model.image_size=112 train.batch_size=2\n" in printed


def test_official_pairs_and_other_files_are_counted(command: Command, tmp_path: Path) -> None:
    names = ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth")
    for name in names:
        (tmp_path / name).mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / names[0] / f"ISIC_{number:07d}.jpg")
        Image.fromarray(np.eye(8, 9, dtype=np.uint8)).save(
            tmp_path / names[1] / f"ISIC_{number:07d}_segmentation.png"
        )
        (tmp_path / names[0] / f"ISIC_{number:07d}_superpixels.png").write_bytes(b"")
    printed = command("data", "check", "isic2018", tmp_path)[1]
    assert "2 of 2,594 official pairs\nother files, ignored: 2\n2 pairs" in printed
    found = json.loads(command("data", "check", "isic2018", tmp_path, "--json")[1])
    assert (found["pairs"], found["official_pairs"], found["ignored"]) == (2, 2594, 2)


def test_names_that_do_not_match_are_explained(command: Command, own: Path) -> None:
    mask = min((own / "masks").iterdir())
    mask.rename(mask.with_stem(f"{mask.stem}_outline"))
    status, printed, _ = command("data", "check", "folder", own)
    assert status == 1
    said = words(printed)
    assert f"the most similar name of a mask is {mask.stem}_outline" in said
    assert "_segmentation" in said


def test_json_of_a_check_names_every_case(command: Command, own: Path) -> None:
    assert command("data", "check", "folder", own, "--quiet") == (0, "", "")
    gone = sorted((own / "masks").iterdir())[:4]
    for path in gone:
        path.unlink()
    status, printed, error = command("data", "check", "folder", own, "--json", "-q")
    assert (status, error) == (1, "")
    found = json.loads(printed)
    assert (found["pairs"], found["affects_training"]) == (16, True)
    (finding,) = found["findings"]
    assert finding["ids"] == [path.stem for path in gone]
    assert finding["affects_training"]
    assert all(key in detail for key, detail in zip(finding["ids"], finding["details"], strict=True))


def test_json_of_the_other_verbs_has_their_results(command: Command, lesions: Path, tmp_path: Path) -> None:
    def result(*arguments: str | Path) -> dict[str, object]:
        status, printed, error = command("data", *arguments, "--json")
        assert status == 0
        assert error or arguments[-1] == "-q"
        found: dict[str, object] = json.loads(printed)
        return found

    split = tmp_path / "split.csv"
    found = result("split", "folder", lesions, "--sizes", "12/4/4", "-o", split)
    cases = {"train": 12, "val": 4, "test": 4}
    digest = load_split(split).digest()
    assert found == {"output": str(split), "cases": cases, "groups": 20, "leaked": 0, "digest": digest}
    made = tmp_path / "made"
    assert result("synthetic", "-o", made, "--count", "2", "--size", "32", "-q") == {
        "output": str(made),
        "images": 2,
    }
    plan = {"patch": [48, 48], "stages": 4, "batch": 2}  # 2: 5 % of 16 images are less than one
    raw = tmp_path / "Dataset501_Own"
    assert result("nnunet", "folder", lesions, "-o", raw, "--split", split) == {
        "output": str(raw),
        "cases": cases,
        "plan": plan,
    }
    found = result("plan", "folder", lesions, "--size", "48", "--split", split)
    keys = ["data.size=48", "model.image_size=48", "train.batch_size=2"]
    assert found == {"cases": cases, "plan": plan, "overrides": keys}
