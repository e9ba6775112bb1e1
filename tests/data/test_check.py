from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from mlffm_segdiff.data.check import check_cases, check_pairing
from mlffm_segdiff.data.check_report import AFFECTS_TRAINING, Report, report_rows
from mlffm_segdiff.data.datasets.image_folder import find_image_folder
from mlffm_segdiff.data.splits import Split

Write = Callable[[Path, Mapping[str, bytes]], None]
Encode = Callable[..., bytes]


def report_of(root: Path, split: Split | None = None) -> Report:
    found = find_image_folder(root)
    return check_cases(found.cases(), found.masks_without_image(), split)


def kinds(report: Report) -> dict[str, tuple[str, ...]]:
    return {finding.kind: finding.ids for finding in report.findings}


def test_clean_data_have_no_findings(own_folder: Path) -> None:
    report = report_of(own_folder, Split(("a",), ("b",), ("c",)))
    assert report == Report(3, ())
    assert not report.affects_training
    assert report_rows(report) == []


@pytest.mark.parametrize(
    ("mask", "kind", "affects"),
    [
        (np.zeros((12, 16), np.uint8), "empty mask", False),
        (np.full((12, 16), 255, np.uint8), "full mask", False),
        (
            np.resize(np.array([0] * 30 + [255] * 30 + [128], np.uint8), (12, 16)),
            "mask not two-valued",
            False,
        ),
        (np.resize(np.arange(256, dtype=np.uint8), (12, 16)), "not a mask", True),
        (np.full((12, 16), 90, np.uint8), "not a mask", True),
        (np.resize(np.array([0, 2, 127], np.uint8), (12, 16)), "not a mask", True),
        (np.eye(16, dtype=np.uint8) * 255, "image and mask differ in size", True),
    ],
)
def test_each_kind_of_odd_mask_is_found_separately(
    own_folder: Path, encoded: Encode, mask: np.ndarray, kind: str, affects: bool
) -> None:
    (own_folder / "masks" / "a.png").write_bytes(encoded(mask))
    report = report_of(own_folder)
    assert kinds(report) == {kind: ("a",)}
    assert report.affects_training is affects


@pytest.mark.parametrize("level", [1, 2, 100, 127])
def test_a_mask_of_zero_and_a_low_value_is_as_good_as_one_of_255(
    own_folder: Path, encoded: Encode, level: int
) -> None:
    (own_folder / "masks" / "a.png").write_bytes(encoded(np.eye(12, 16, dtype=np.uint8) * np.uint8(level)))
    assert report_of(own_folder) == Report(3, ())


@pytest.mark.parametrize(("level", "kind"), [(0, "every mask is empty"), (255, "every mask is full")])
def test_a_set_of_only_empty_or_full_masks_affects_training(
    own_folder: Path, encoded: Encode, level: int, kind: str
) -> None:
    for path in (own_folder / "masks").iterdir():
        path.write_bytes(encoded(np.full((12, 16), level, np.uint8)))
    report = report_of(own_folder)
    assert kinds(report) == {kind: ("a", "b", "c")}
    assert report.affects_training


def test_lost_partners_are_found_on_both_sides(own_folder: Path, write: Write, encoded: Encode) -> None:
    photo = encoded(np.random.default_rng(9).integers(0, 256, (12, 16, 3), dtype=np.uint8))
    write(own_folder, {"images/d.png": photo, "masks/e.png": b""})
    report = report_of(own_folder)
    assert kinds(report) == {"missing mask": ("d",), "missing image": ("e",)}
    assert report.pairs == 3
    assert report.affects_training


@pytest.mark.parametrize("place", ["images/a.png", "masks/a.png"])
def test_unreadable_files_are_named(own_folder: Path, place: str) -> None:
    (own_folder / place).write_bytes(b"broken")
    report = report_of(own_folder)
    assert kinds(report) == {"unreadable file": ("a",)}
    assert place in report.findings[0].details[0]
    assert report.affects_training


def test_images_and_masks_in_each_others_place_are_found(own_folder: Path) -> None:
    (own_folder / "images").rename(own_folder / "x")
    (own_folder / "masks").rename(own_folder / "images")
    (own_folder / "x").rename(own_folder / "masks")
    report = report_of(own_folder)
    assert kinds(report)["not a mask"] == ("a",)
    assert report.affects_training


def test_a_split_is_held_against_the_data_and_the_groups(own_folder: Path, write: Write) -> None:
    write(own_folder, {"groups.csv": b"id,group\na,anna\nb,anna\n"})
    report = report_of(own_folder, Split(("a", "gone"), (), ("b",)))
    assert kinds(report) == {
        "in the split, not in the data": ("gone",),
        "group in two parts": ("anna",),
        "in the data, not in the split": ("c",),
    }


def test_copies_across_parts_affect_training_and_within_a_part_do_not(own_folder: Path) -> None:
    (own_folder / "images" / "b.png").write_bytes((own_folder / "images" / "a.png").read_bytes())
    across = report_of(own_folder, Split(("a", "c"), ("b",), ()))
    assert kinds(across) == {"same image in two parts": ("a = b",)}
    assert across.findings[0].details == ("a (train) = b (val)",)
    assert across.affects_training
    for split in (Split(("a", "b", "c"), (), ()), None):
        within = report_of(own_folder, split)
        assert kinds(within) == {"same image twice": ("a = b",)}
        assert not within.affects_training


def test_near_duplicates_across_parts_or_groups_are_found(own_folder: Path, encoded: Encode) -> None:
    smooth = gaussian_filter(np.random.default_rng(0).random((96, 128, 3)), (4, 4, 0))
    image = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    mask = encoded((np.indices((96, 128)).sum(0) < 60).astype(np.uint8))
    for name, pixels in (("a", image), ("b", np.clip(image * 0.95 + 8, 0, 255).astype(np.uint8))):
        (own_folder / "images" / f"{name}.png").write_bytes(encoded(pixels))
    (own_folder / "masks" / "a.png").write_bytes(mask)
    (own_folder / "masks" / "b_mask.png").write_bytes(mask)
    across = report_of(own_folder, Split(("a", "c"), ("b",), ()))
    assert kinds(across) == {"near-duplicates in two parts": ("a = b",)}
    assert across.affects_training
    assert report_of(own_folder, Split(("a", "b", "c"), (), ())).findings == ()
    without_split = report_of(own_folder)
    assert kinds(without_split) == {"near-duplicates in two groups": ("a = b",)}
    assert not without_split.affects_training


def test_masks_that_hold_all_corners_are_perhaps_inverted(own_folder: Path, encoded: Encode) -> None:
    for path in (own_folder / "masks").iterdir():
        path.write_bytes(encoded(255 - np.asarray(Image.open(path))))
    report = report_of(own_folder)
    assert kinds(report) == {"perhaps inverted": ("a", "b", "c")}
    assert report.affects_training


def test_only_the_training_masks_must_have_a_lesion(own_folder: Path, encoded: Encode) -> None:
    (own_folder / "masks" / "a.png").write_bytes(encoded(np.zeros((12, 16), np.uint8)))
    assert report_of(own_folder, Split(("a",), ("b",), ("c",))).affects_training
    assert not report_of(own_folder, Split(("b",), ("a",), ("c",))).affects_training


def test_too_few_cases_for_the_split_that_training_draws_affect_it(own_folder: Path) -> None:
    assert check_pairing(find_image_folder(own_folder)).findings == ()
    for path in ("images/c.png", "masks/c_segmentation.png"):
        (own_folder / path).unlink()
    report = check_pairing(find_image_folder(own_folder))
    assert kinds(report) == {"too few cases to split": ("a",)}
    assert "2 group(s) cannot fill train, val, test" in report.findings[0].details[0]
    assert report.affects_training
    assert check_pairing(find_image_folder(own_folder), Split(("a",), ("b",), ())).findings == ()


def test_names_that_nearly_match_are_shown_with_the_accepted_ones(own_folder: Path) -> None:
    (own_folder / "masks" / "a.png").rename(own_folder / "masks" / "a_outline.png")
    (own_folder / "images" / "a.png").rename(own_folder / "images" / "a_out.png")
    report = report_of(own_folder)
    assert kinds(report) == {"missing mask": ("a_out",), "missing image": ("a_outline",)}
    assert "most similar name of a mask is a_outline" in report.findings[0].details[0]
    assert "_segmentation" in report.hint
    assert "mask_" in report.hint


def test_an_id_of_the_split_with_an_extension_is_corrected(own_folder: Path) -> None:
    report = report_of(own_folder, Split(("a.png", "b"), (), ("c",)))
    assert report.findings[0].details == ("a.png (train): write a, without the extension",)


def test_rows_are_ordered_and_cut_short(own_folder: Path, write: Write) -> None:
    write(own_folder, {f"images/{name}.png": b"" for name in "wxyz"} | {"masks/v.png": b""})
    rows = report_rows(report_of(own_folder), shown=2)
    assert [row[:3] for row in rows] == [("missing image", "1", "yes"), ("unreadable file", "4", "yes")]
    assert rows[1][3].count("is empty (0 bytes)") == 2
    assert rows[1][3].endswith("; ...")
    order = list(AFFECTS_TRAINING.values())
    assert order == sorted(order, reverse=True)


def test_progress_counts_every_case(own_folder: Path) -> None:
    calls = []
    check_cases(
        find_image_folder(own_folder).cases(), progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(1, 3), (2, 3), (3, 3)]
