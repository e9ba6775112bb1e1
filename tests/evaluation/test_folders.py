import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.evaluation.folders import compare_masks, masks_by_id, match_folders, match_masks
from mlffm_segdiff.metrics.overlap import Mask

SaveMask = Callable[[Path, Mask], Path]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "predicted", tmp_path / "truth"


@pytest.mark.parametrize(
    ("predicted_name", "truth_name"),
    [
        ("ISIC_0000000.png", "ISIC_0000000_segmentation.png"),
        ("ISIC_0000000_segmentation.png", "ISIC_0000000.png"),
        ("ISIC_0000000_mask.bmp", "ISIC_0000000_lesion.bmp"),
        ("ISIC_0000000_Mask.PNG", "ISIC_0000000.gif"),
        ("inner/ISIC_0000000.png", "a/b/ISIC_0000000.tif"),
    ],
)
def test_masks_match_by_name_less_ending_and_suffix(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask, predicted_name: str, truth_name: str
) -> None:
    save_mask(folders[0] / predicted_name, left_half)
    save_mask(folders[1] / truth_name, left_half)
    matched = match_folders(*folders)
    assert matched.missing == ()
    (case,) = compare_masks(matched)
    assert (case.id, case.source.jaccard, case.source.hd95, case.network) == ("ISIC_0000000", 1, 0, None)


@pytest.mark.parametrize("end", ["", "_mask", "_segmentation"])
def test_a_name_that_ends_like_a_masks_is_of_the_image_of_that_name(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask, end: str
) -> None:
    """Masks of `predict` are called like their images, of which two are "nevus" and "nevus_lesion"."""
    names = ("nevus_lesion", "b_gt") if not end else ("nevus", "nevus_lesion", "b_gt")
    for name in names:
        save_mask(folders[1] / f"{name}{end}.png", left_half)
        save_mask(folders[0] / f"{name}.png", left_half)
    matched = match_folders(*folders)
    assert [(case.predicted.name, case.truth.name) for case in matched.pairs] == [
        (f"{name}.png", f"{name}{end}.png") for name in sorted(names)
    ]
    assert (matched.missing, matched.extra) == ((), ())
    (folders[0] / "nevus_lesion.png").unlink()
    assert "nevus_lesion.png" not in {case.truth.name for case in match_folders(*folders).pairs}


def test_scores_are_of_the_prediction_against_the_truth(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask
) -> None:
    quarter = left_half.copy()
    quarter[6:] = False
    save_mask(folders[0] / "b.png", quarter)
    save_mask(folders[1] / "b.png", left_half)
    (case,) = compare_masks(match_folders(*folders))
    assert (case.source.tp, case.source.fp, case.source.fn, case.source.tn) == (60, 0, 60, 120)
    assert (case.source.precision, case.source.recall) == (1, 0.5)


def test_masks_missing_in_one_folder_are_reported_and_the_others_compared_in_order(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask
) -> None:
    for name in ("c", "a", "x"):
        save_mask(folders[0] / f"{name}.png", left_half)
    for name in ("a", "c", "m", "b"):
        save_mask(folders[1] / f"{name}_segmentation.png", left_half)
    folders[1].joinpath("LICENSE.txt").write_text("not a mask")
    matched = match_folders(*folders)
    assert (matched.missing, matched.extra) == (("b", "m"), ("x",))
    assert [case.id for case in compare_masks(matched)] == ["a", "c"]


def test_an_archive_of_true_masks_is_read_as_it_is(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask
) -> None:
    archive = folders[0].parent / "truth.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.write(save_mask(folders[1] / "a.png", left_half), "inner/a_segmentation.png")
    save_mask(folders[0] / "a.png", left_half)
    (case,) = compare_masks(match_folders(folders[0], archive))
    assert case.source.dice == 1


def test_sizes_that_differ_name_both_files_and_sizes(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask
) -> None:
    save_mask(folders[0] / "a.png", left_half[:6, :10])
    save_mask(folders[1] / "a.png", left_half)
    with pytest.raises(UserError, match=r"predicted.a\.png is 10 x 6 .*truth.a\.png is 20 x 12; save"):
        list(compare_masks(match_folders(*folders)))


def test_a_damaged_mask_is_named(folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask) -> None:
    damaged = save_mask(folders[0] / "a.png", left_half)
    damaged.write_bytes(damaged.read_bytes()[:50])
    save_mask(folders[1] / "a.png", left_half)
    with pytest.raises(UserError, match=r"predicted.a\.png"):
        list(compare_masks(match_folders(*folders)))


def test_two_files_of_one_case_are_refused(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask
) -> None:
    for name in ("masks/a.png", "overlays/a.png"):
        save_mask(folders[0] / name, left_half)
    save_mask(folders[1] / "a.png", left_half)
    with pytest.raises(
        UserError, match=r"masks.a\.png and .*overlays.a\.png are both files of case 'a'.* or give the folder"
    ):
        match_folders(*folders)


def test_folders_without_a_common_name_say_what_names_they_hold(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask
) -> None:
    save_mask(folders[0] / "one.png", left_half)
    save_mask(folders[1] / "two.png", left_half)
    with pytest.raises(UserError, match=r"such as .*one\.png\).*such as .*two\.png\)"):
        match_folders(*folders)


def test_a_folder_that_is_missing_or_has_no_images_is_named(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask
) -> None:
    save_mask(folders[1] / "a.png", left_half)
    with pytest.raises(UserError, match="predicted does not exist"):
        match_folders(*folders)
    folders[0].mkdir()
    with pytest.raises(UserError, match=r"no images in .*predicted"):
        match_folders(*folders)


def test_a_probability_map_counts_from_one_half(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask
) -> None:
    folders[0].mkdir()
    values = np.where(left_half, 128, 127).astype(np.uint8)
    Image.fromarray(values).save(folders[0] / "a.png")
    save_mask(folders[1] / "a.png", left_half)
    (case,) = compare_masks(match_folders(*folders))
    assert case.source.jaccard == 1


def test_a_folder_is_matched_with_the_masks_of_a_data_set(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask
) -> None:
    truths = {name: Entry(save_mask(folders[1] / f"{name}.png", left_half)) for name in ("a", "b")}
    save_mask(folders[0] / "b_mask.png", ~left_half)
    matched = match_masks(masks_by_id(folders[0]), truths)
    (case,) = compare_masks(matched)
    assert (case.id, case.source.jaccard, matched.missing) == ("b", 0, ("a",))
    with pytest.raises(UserError, match=r"such as none"):
        match_masks(masks_by_id(folders[0]), {})


def test_a_smooth_probability_map_is_a_prediction_and_no_ground_truth(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask
) -> None:
    folders[0].mkdir()
    ramp = np.tile(np.linspace(255, 0, left_half.shape[1]).astype(np.uint8), (left_half.shape[0], 1))
    Image.fromarray(ramp).save(folders[0] / "a.png")
    save_mask(folders[1] / "a.png", left_half)
    (case,) = compare_masks(match_folders(*folders))
    assert case.source.jaccard == 1
    with pytest.raises(UserError, match=r"predicted.a\.png .*as in a photograph"):
        list(compare_masks(match_folders(folders[1], folders[0])))


@pytest.mark.parametrize("side", [0, 1])
def test_labels_of_several_classes_are_refused_on_both_sides(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask, side: int
) -> None:
    for folder in folders:
        save_mask(folder / "a.png", left_half)
    labels = left_half.astype(np.uint8) * np.uint8(2)
    labels[:5] = 1
    Image.fromarray(labels).save(folders[side] / "a.png")
    with pytest.raises(UserError, match=r"a\.png has the values 0, 1, 2"):
        list(compare_masks(match_folders(*folders)))


def test_a_pair_in_another_case_does_not_depend_on_names_that_differ_only_in_case(tmp_path: Path) -> None:
    """Such names are in one folder on Linux only, so no file is written."""
    entries = {name: Entry(tmp_path / f"{name}.png") for name in ("a", "A", "Mole", "mole_2", "b")}
    predictions = {name: entries[name] for name in ("a", "A", "mole_2")}
    matched = match_masks(predictions, {"A": entries["A"], "Mole_2": entries["Mole"], "b": entries["b"]})
    assert {case.id: case.predicted for case in matched.pairs} == {
        "A": entries["A"],
        "Mole_2": entries["mole_2"],
    }
    assert (matched.missing, matched.extra) == (("b",), ("a",))


def test_names_in_another_case_or_unicode_form_match(
    folders: tuple[Path, Path], save_mask: SaveMask, left_half: Mask
) -> None:
    for predicted, truth in (("Lesion0", "lesion0_seg"), ("La\u0308sion", "L\u00e4sion"), ("x", "X_gt")):
        save_mask(folders[0] / f"{predicted}.png", left_half)
        save_mask(folders[1] / f"{truth}.PNG", left_half)
    save_mask(folders[1] / "x_superpixels.png", left_half)
    matched = match_folders(*folders)
    assert [case.id for case in matched.pairs] == ["L\u00e4sion", "X", "lesion0"]
    assert (matched.missing, matched.extra) == ((), ())
