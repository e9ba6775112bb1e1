import unicodedata
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.datasets.mask_names import (
    IdLookup,
    case_id,
    id_hint,
    mask_case_id,
    masks_of_images,
    pair_ids,
    without_companions,
)


def matched(images: list[str], masks: list[str]) -> dict[str, str]:
    return {
        key: entry.name for key, entry in masks_of_images([Entry(Path(m)) for m in masks], images).items()
    }


@pytest.mark.parametrize(
    "name",
    [
        "a.png",
        "a_seg.png",
        "a_mask.png",
        "a_masks.png",
        "a_gt.png",
        "a_GT.png",
        "a_Segmentation.png",
        "a_segmentation.png",
        "a_label.png",
        "a_labels.png",
        "a_groundtruth.png",
        "a_lesion.bmp",
        "a-mask.png",
        "a-seg.png",
        "a.mask.png",
        "a mask.png",
        "mask_a.png",
        "MASK_a.png",
        "seg-a.png",
        "gt_a.png",
        "A.PNG",
        "A_mask.png",
        "a.jpg.png",
        "a.jpg_mask.png",
    ],
)
def test_a_mask_is_named_like_its_image_with_common_marks(name: str) -> None:
    assert matched(["a", "b"], [name, "b_seg.png"]) == {"a": name, "b": "b_seg.png"}


@pytest.mark.parametrize("letters", ["L\u00e4sion", "\u00c9t\u00e9", "\u30d7\u30ed"])
def test_names_of_macos_and_of_other_systems_are_one(letters: str) -> None:
    decomposed, composed = (unicodedata.normalize(form, letters) for form in ("NFD", "NFC"))
    assert decomposed != composed
    assert case_id(Entry(Path(f"{decomposed} 1.jpg"))) == f"{composed} 1"
    assert matched([composed], [f"{decomposed}_mask.png"]) == {composed: f"{decomposed}_mask.png"}


def test_the_same_name_is_preferred_then_another_case_then_a_mark() -> None:
    assert matched(["x", "x_mask"], ["x.png", "x_mask.png"]) == {"x": "x.png", "x_mask": "x_mask.png"}
    assert matched(["a", "A"], ["a.png", "A.png"]) == {"a": "a.png", "A": "A.png"}
    assert matched(["a", "A", "b"], ["b.png", "a_MASK.png"]) == {"b": "b.png", "a": "a_MASK.png"}
    assert matched(["lesion_0"], ["Lesion_0_Lesion.png"]) == {"lesion_0": "Lesion_0_Lesion.png"}


def test_ids_that_differ_only_in_case_are_told_apart() -> None:
    lookup = IdLookup(["a", "A", "Mole"])
    assert [lookup.find(name) for name in ("a", "A", "mole", "b")] == ["a", "A", "Mole", None]
    assert IdLookup(["Aa", "aA"]).find("aa") is None


def test_pairs_are_of_the_same_name_then_of_the_only_one_in_another_case() -> None:
    assert pair_ids(["a", "A", "Mole"], ["A", "a", "mole"]) == {"a": "a", "A": "A", "Mole": "mole"}
    assert pair_ids(["a", "A"], ["a"]) == {"a": "a"}
    assert pair_ids(["a"], ["A", "a"]) == {"a": "a"}
    assert pair_ids(["aa", "b"], ["Aa", "aA", "B"]) == {"b": "B"}


def test_masks_without_an_image_keep_their_own_id() -> None:
    assert matched(["a"], ["a.png", "other_mask.png"]) == {"a": "a.png", "other": "other_mask.png"}
    assert mask_case_id("mask") == "mask"


def test_if_no_name_fits_the_accepted_ones_and_the_nearest_are_named() -> None:
    with pytest.raises(UserError, match=r"none of the 2 masks, such as a_outline\.png.* such as a; .*_seg,"):
        matched(["a", "bbbbb"], ["a_outline.png", "c.png"])
    with pytest.raises(UserError, match=r"such as lesion_12_outline.png.*such as lesion_12; rename .*mask_"):
        matched(["nevus", "lesion_12"], ["lesion_12_outline.png"])


def test_two_masks_of_one_image_are_named() -> None:
    with pytest.raises(UserError, match=r"a\.png and a_seg\.png have the same id 'a'"):
        matched(["a"], ["a.png", "a_seg.png"])


@pytest.mark.parametrize(
    ("name", "companion"),
    [
        ("ISIC_0000000_superpixels.png", True),
        ("ISIC_0000000_attribute_pigment_network.png", True),
        ("thumbs/a.jpg", True),
        ("@eaDir/a.jpg", True),
        ("a.jpg", False),
        ("attribute.jpg", False),
        ("thumb_lesion.jpg", False),
        ("left_thumb.jpg", False),
    ],
)
def test_files_that_accompany_images_are_left_out(name: str, companion: bool) -> None:
    for entry in (Entry(Path(name)), Entry(Path("thumbs/z.zip"), name)):
        assert without_companions([entry]) == ([] if companion else [entry])


def test_a_thumbnail_is_one_only_beside_its_image() -> None:
    names = ("a.png", "a_thumb.jpg", "A-Thumbnail.jpg", "b_thumb.png", "b_thumb_thumb.jpg")
    kept = without_companions([Entry(Path(name)) for name in names])
    assert [entry.name for entry in kept] == ["a.png", "b_thumb.png"]
    apart = [Entry(Path("one/a.png")), Entry(Path("two/a_thumb.png"))]
    assert without_companions(apart) == apart
    packed = [Entry(Path("z.zip"), name) for name in ("one/a.png", "two/a_thumb.png", "one/a_thumb.png")]
    assert without_companions(packed) == packed[:2]


def test_an_id_with_an_extension_or_in_another_case_is_corrected() -> None:
    assert id_hint("a.png", ["a"]) == "write 'a', without the extension"
    assert id_hint("A", ["a"]) == "write 'a'"
    assert id_hint("12", ["0011", "0012"]) == "write '0012'"
    assert id_hint("A.png", ["a"]) == "write 'a'"
    assert id_hint("b", ["a"]) == "correct or remove the line"
