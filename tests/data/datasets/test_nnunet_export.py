"""Export, as nnU-Net's documentation has it, and back."""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import io

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.datasets.nnunet_export import check_target, splits_target, write_nnunet, write_splits
from mlffm_segdiff.data.datasets.nnunet_raw import find_nnunet, nnunet_split
from mlffm_segdiff.data.files import decode_image, decode_mask
from mlffm_segdiff.data.table import read_cases

Encode = Callable[..., bytes]
Parts = dict[str, list[Case]]
NAME = "Dataset007_Own"


@pytest.fixture
def cases(tmp_path: Path, write: Callable[[Path, Mapping[str, bytes]], None], encoded: Encode) -> list[Case]:
    """Seven pairs of many sizes and colour modes, one turned by EXIF; masks 0/1 and 0/255, full and empty."""
    draw = np.random.default_rng(0)
    root = tmp_path / "own"
    turned = Image.Exif()
    turned[0x0112] = 6
    options = {"b": {"kind": "JPEG"}, "c": {"exif": turned}}
    for number, key in enumerate("abcdefg"):
        height, width = 10 + number, 20 - number
        shape = (height, width) if key == "d" else (height, width, 4 if key == "e" else 3)
        image = encoded(draw.integers(0, 256, shape, dtype=np.uint8), **options.get(key, {}))
        mask = np.zeros((width, height) if key == "c" else (height, width), np.uint8)
        mask[2:7, 3:8] = 1 if key == "a" else 255
        mask[:] = {"f": 255, "g": 0}.get(key, mask)
        write(
            root, {f"images/{key}.{'jpg' if key == 'b' else 'png'}": image, f"masks/{key}.png": encoded(mask)}
        )
    (root / "groups.csv").write_text("id,group\na,anna\nb,anna\n")
    return read_cases("folder", root)


@pytest.fixture
def parts(cases: list[Case]) -> Parts:
    """Not in the order of their ids."""
    return {"train": [cases[4], cases[0], cases[1]], "val": [cases[3], cases[2]], "test": cases[5:]}


def silent(done: int, total: int) -> None:
    assert 0 < done <= total == 7


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_layout_is_that_of_nnunets_documentation(parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / "raw" / NAME
    sizes = write_nnunet(folder, parts, silent)
    assert names(folder) == sorted(
        ["dataset.json", "groups.csv", "splits_final.json"]
        + [f"imagesTr/{key}_0000.png" for key in "abcde"]
        + [f"labelsTr/{key}.png" for key in "abcde"]
        + [f"imagesTs/{key}_0000.png" for key in "fg"]
        + [f"labelsTs/{key}.png" for key in "fg"]
    )
    dataset = json.loads((folder / "dataset.json").read_text())
    assert dataset["channel_names"] == {"0": "R", "1": "G", "2": "B"}
    assert dataset["labels"] == {"background": 0, "lesion": 1}
    assert (dataset["numTraining"], dataset["file_ending"]) == (5, ".png")
    splits = json.loads((folder / "splits_final.json").read_text())
    assert splits == [{"train": ["a", "b", "e"], "val": ["c", "d"]}]
    assert sizes == [(14, 16), (10, 20), (11, 19), (13, 17), (18, 12)]
    assert [path.name for path in folder.parent.iterdir()] == [NAME]


def test_nnunets_reader_of_images_finds_what_ours_does(parts: Parts, tmp_path: Path) -> None:
    """NaturalImage2DIO reads by skimage: RGB images HxWx3, labels HxW of 0 and 1."""
    folder = tmp_path / NAME
    write_nnunet(folder, parts, silent)
    for part, cases in (("Tr", parts["train"] + parts["val"]), ("Ts", parts["test"])):
        for case in cases:
            image = io.imread(folder / f"images{part}" / f"{case.id}_0000.png")
            label = io.imread(folder / f"labels{part}" / f"{case.id}.png")
            assert image.dtype == label.dtype == np.uint8
            np.testing.assert_array_equal(image, decode_image(case.image.read(), case.id))
            np.testing.assert_array_equal(label, decode_mask(case.mask.read(), case.id).astype(np.uint8))


def test_read_back_are_the_same_ids_pairs_groups_and_split(parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / NAME
    write_nnunet(folder, parts, silent)
    back = {case.id: case for case in find_nnunet(folder).cases()}
    split = nnunet_split(folder)
    for part, cases in parts.items():
        assert split.ids(part) == tuple(sorted(case.id for case in cases))
        for case in cases:
            again = back.pop(case.id)
            assert again.group == case.group
            for decode, one, other in (
                (decode_image, case.image, again.image),
                (decode_mask, case.mask, again.mask),
            ):
                np.testing.assert_array_equal(decode(one.read(), ""), decode(other.read(), ""))
    assert not back


def test_a_second_export_of_the_export_is_the_same_files(parts: Parts, tmp_path: Path) -> None:
    first, second = tmp_path / "1" / NAME, tmp_path / "2" / NAME
    write_nnunet(first, parts, silent)
    cases = {case.id: case for case in find_nnunet(first).cases()}
    again = {part: [cases[case.id] for case in given] for part, given in parts.items()}
    write_nnunet(second, again, silent)
    assert names(first) == names(second)
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names(first))


def test_without_test_cases_or_groups_there_are_no_files_for_them(parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / NAME
    ungrouped = [replace(case, group=case.id) for case in parts["train"]]
    write_nnunet(folder, {"train": ungrouped, "val": parts["val"], "test": []}, lambda done, total: None)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["dataset.json", "imagesTr", "labelsTr", "splits_final.json"]
    )


def test_groups_are_written_as_the_folder_reader_reads_them(parts: Parts, tmp_path: Path) -> None:
    write_nnunet(tmp_path / NAME, parts, silent)
    with (tmp_path / NAME / "groups.csv").open() as file:
        assert {row["id"]: row["group"] for row in csv.DictReader(file)}["a"] == "anna"


@pytest.mark.parametrize("fault", ["no mask", "another size", "broken image", "labels"])
def test_a_case_that_cannot_be_written_leaves_nothing(
    parts: Parts, tmp_path: Path, encoded: Encode, fault: str
) -> None:
    victim = parts["test"][1]
    if fault == "no mask":
        parts["test"][1] = replace(victim, mask=None)
    elif fault == "another size":
        parts["test"][1] = replace(victim, mask=parts["test"][0].mask)
    elif fault == "labels":
        victim.mask.path.write_bytes(encoded(np.tri(16, 14, dtype=np.uint8) + np.uint8(1)))
    else:
        victim.image.path.write_bytes(victim.image.read()[:60])
    message = {
        "no mask": "g has no mask",
        "another size": "g: image 14x16, mask 15x15",
        "labels": r"masks.g\.png has the values 1, 2",
    }
    with pytest.raises(UserError, match=message.get(fault, r"images.g\.png is damaged or truncated")):
        write_nnunet(tmp_path / "raw" / NAME, parts, silent)
    assert not list((tmp_path / "raw").iterdir())


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_part_that_nnunet_needs_may_not_be_empty(parts: Parts, tmp_path: Path, part: str) -> None:
    with pytest.raises(UserError, match=f"no case in part '{part}'"):
        write_nnunet(tmp_path / NAME, {**parts, part: []}, silent)
    assert not (tmp_path / NAME).exists()


def test_what_exists_is_not_overwritten(parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / NAME
    folder.mkdir()
    with pytest.raises(UserError, match="Dataset007_Own exists; choose a new folder"):
        write_nnunet(folder, parts, silent)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "name", ["Own", "Dataset7_Own", "Dataset0007_Own", "Dataset007", "Dataset007_", "dataset007_a"]
)
def test_names_that_nnunet_does_not_know_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="use DatasetXXX_NAME, such as Dataset501_ISIC2018"):
        check_target(tmp_path / name)
    check_target(tmp_path / "Dataset007_Own-2_b")


def test_the_split_is_put_where_nnunet_looks_for_it(parts: Parts, tmp_path: Path) -> None:
    path = write_splits(tmp_path / "preprocessed", NAME, parts)
    assert path == tmp_path / "preprocessed" / NAME / "splits_final.json"
    write_nnunet(tmp_path / NAME, parts, silent)
    assert path.read_bytes() == (tmp_path / NAME / "splits_final.json").read_bytes()
    with pytest.raises(UserError, match=r"splits_final\.json exists; remove it"):
        splits_target(tmp_path / "preprocessed", NAME)
