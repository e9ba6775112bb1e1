import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.datasets.nnunet_raw import draw_fold, find_nnunet, nnunet_split, read_fold
from mlffm_segdiff.data.files import decode_mask
from mlffm_segdiff.data.splits import Split

Write = Callable[[Path, Mapping[str, bytes]], None]
HEART = (3, 4, 5, 7, 9, 10, 11, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 29, 30)


def test_images_and_labels_of_both_parts_are_paired(nnunet_raw: Path) -> None:
    cases = find_nnunet(nnunet_raw).cases()
    assert [case.id for case in cases] == [*(f"case_{n}" for n in range(6)), "test_1", "test_2"]
    names = [(case.image.name, case.mask.name, case.group) for case in cases[5:7]]
    assert names == [("case_5_0000.png", "case_5.png", "case_5"), ("test_1_0000.png", "test_1.png", "test_1")]
    assert cases[0].image.path.parent.name == "imagesTr"
    mask = decode_mask(cases[0].mask.read(), "")
    assert mask.sum() == 48


def test_an_id_may_end_as_channels_do_and_hidden_files_are_skipped(nnunet_raw: Path, write: Write) -> None:
    write(nnunet_raw, {"imagesTr/a_0000_0000.png": b"1", "labelsTr/a_0000.png": b"2", "imagesTr/._x": b""})
    write(nnunet_raw, {"labelsTr/._case_1.png": b"", "imagesTr/notes.txt": b""})
    cases = {case.id: case for case in find_nnunet(nnunet_raw).cases()}
    assert (cases["a_0000"].image.read(), cases["a_0000"].mask.read()) == (b"1", b"2")
    assert len(cases) == 9


def test_the_fold_that_nnunet_draws_is_that_of_its_documentation() -> None:
    """manual_data_splits there shows the first fold of the 20 hearts of the Medical Decathlon."""
    ids = [f"la_{number:03d}" for number in HEART]
    train, val = draw_fold(ids)
    assert val == ["la_007", "la_016", "la_021", "la_024"]
    assert train == [key for key in ids if key not in val]
    assert [len(part) for part in draw_fold(ids[:7])] == [5, 2]


def test_a_split_file_is_taken_else_nnunets_own_fold(nnunet_raw: Path) -> None:
    test = ("test_1", "test_2")
    drawn = nnunet_split(nnunet_raw)
    assert (len(drawn.train), len(drawn.val), drawn.test) == (4, 2, test)
    folds = [{"train": ["case_3", "case_1"], "val": ["case_0"]}, {"train": ["case_0"], "val": ["case_1"]}]
    (nnunet_raw / "splits_final.json").write_text(json.dumps(folds), encoding="utf-8-sig")
    assert nnunet_split(nnunet_raw) == Split(("case_1", "case_3"), ("case_0",), test)


def test_groups_are_read_where_given(nnunet_raw: Path, write: Write) -> None:
    write(nnunet_raw, {"groups.csv": b"id,group\ncase_0,anna\ntest_1,anna\n"})
    groups = {case.id: case.group for case in find_nnunet(nnunet_raw).cases()}
    assert (groups["case_0"], groups["case_1"], groups["test_1"]) == ("anna", "case_1", "anna")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[]",
        "[5]",
        '[{"train": ["a"]}]',
        '[{"train": 1, "val": []}]',
        '[{"train": ["a"], "val": ["a"]}]',
        '[{"train": [1], "val": ["a"]}]',
        '[{"train": ["a", "a"], "val": []}]',
    ],
)
def test_a_faulty_split_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "splits_final.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"splits_final\.json.*; (restore|write|correct) it"):
        read_fold(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"file_ending": ".nii.gz"}, r"dataset\.json: file_ending is '\.nii\.gz'; supported are .png"),
        ({"labels": {"background": 0, "a": 1, "b": 2}}, "only background 0 and one class 1"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, "only background 0 and one class 1"),
        ({"labels": ["background", "lesion"]}, "only background 0 and one class 1"),
    ],
)
def test_unsupported_data_sets_are_refused(nnunet_raw: Path, values: dict[str, object], message: str) -> None:
    path = nnunet_raw / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    with pytest.raises(UserError, match=message):
        find_nnunet(nnunet_raw)
    path.write_text("[]")
    with pytest.raises(UserError, match="file_ending is None"):
        nnunet_split(nnunet_raw)


def test_wrong_layouts_are_explained(nnunet_raw: Path, write: Write, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.json cannot be read .*; give the folder DatasetXXX_NAME"):
        find_nnunet(nnunet_raw.parent)
    write(tmp_path / "bare", {"dataset.json": (nnunet_raw / "dataset.json").read_bytes()})
    with pytest.raises(UserError, match=r"no images imagesTr/CASE_0000\.png found"):
        find_nnunet(tmp_path / "bare")
    write(nnunet_raw, {"imagesTr/case_9_0001.png": b"x"})
    with pytest.raises(UserError, match=r"case_9_0001\.png: an image in several files"):
        find_nnunet(nnunet_raw)


def test_an_id_in_both_parts_is_refused(nnunet_raw: Path, write: Write) -> None:
    write(nnunet_raw, {"imagesTs/case_2_0000.png": b"x", "labelsTs/case_2.png": b"x"})
    with pytest.raises(
        UserError, match=r"imagesTr/case_2.* and .*imagesTs/case_2.* have the same id 'case_2'"
    ):
        find_nnunet(nnunet_raw)


def test_folds_are_whole_and_apart() -> None:
    for count in range(2, 60):
        train, val = draw_fold([f"{number:03d}" for number in range(count)])
        assert len(val) == int(np.ceil(count / 5))
        assert sorted(train + val) == [f"{number:03d}" for number in range(count)]


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ({"train": ["case_1", "test_1"], "val": ["case_0"]}, r"names 'test_1', which is not in imagesTr"),
        ({"train": ["case_1"], "val": ["none"]}, r"names 'none', which is not in imagesTr"),
        ({"train": "abc", "val": "def"}, r"is not a list of folds"),
        ({"train": ["case_1"], "val": []}, r"is not a list of folds"),
    ],
)
def test_a_fold_that_would_train_on_the_test_or_on_nothing_is_refused(
    nnunet_raw: Path, fold: dict[str, object], message: str
) -> None:
    (nnunet_raw / "splits_final.json").write_text(json.dumps([fold]))
    with pytest.raises(UserError, match=message):
        nnunet_split(nnunet_raw)


def test_a_split_file_that_cannot_be_read_is_not_skipped(nnunet_raw: Path) -> None:
    path = nnunet_raw / "splits_final.json"
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match="is not JSON"):
        nnunet_split(nnunet_raw)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        nnunet_split(nnunet_raw)


def test_files_in_tiff_with_both_spellings_are_read(nnunet_raw: Path, encoded: Callable[..., bytes]) -> None:
    for extension in (".tif", ".tiff"):
        dataset = json.loads((nnunet_raw / "dataset.json").read_text())
        (nnunet_raw / "dataset.json").write_text(json.dumps({**dataset, "file_ending": extension}))
        for path in [*nnunet_raw.glob("*Tr/*"), *nnunet_raw.glob("*Ts/*")]:
            path.rename(path.with_suffix(extension))
        cases = find_nnunet(nnunet_raw).cases()
        assert len(cases) == 8
        assert all(decode_mask(case.mask.read(), "").sum() == 48 for case in cases)
