from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlffm_segdiff.data.case import Case, Entry
from mlffm_segdiff.data.read_pair import (
    MISSING_MASK,
    NOT_A_MASK,
    SIZE_MISMATCH,
    UNREADABLE,
    UnfitCaseError,
    read_pair,
)

MakeCase = Callable[[bytes, bytes | None], Case]
Encode = Callable[..., bytes]
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
LESION = np.zeros((12, 16), np.uint8)
LESION[3:9, 4:10] = 255


@pytest.fixture
def case(tmp_path: Path, write: Callable[[Path, Mapping[str, bytes]], None], encoded: Encode) -> MakeCase:
    """Write a case: case(image bytes, mask bytes or None)."""

    def make(image: bytes, mask: bytes | None) -> Case:
        write(tmp_path, {"a.png": image, **({} if mask is None else {"a_mask.png": mask})})
        return Case("a", Entry(tmp_path / "a.png"), mask and Entry(tmp_path / "a_mask.png"), "a")

    return make


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_a_sound_pair_is_read(case: MakeCase, encoded: Encode) -> None:
    image, mask = read_pair(case(encoded(PIXELS), encoded(LESION)))
    assert (np.asarray(image) == PIXELS).all()
    assert (mask.lesion == (LESION > 0)).all()


@pytest.mark.parametrize(
    ("image", "mask", "kind"),
    [
        (PIXELS, None, MISSING_MASK),
        (None, LESION, UNREADABLE),
        (PIXELS, np.full((12, 16), 9, np.uint8), NOT_A_MASK),
        (PIXELS, LESION[:6], SIZE_MISMATCH),
    ],
)
def test_each_reason_has_its_kind_and_one_line(
    case: MakeCase, encoded: Encode, image: np.ndarray | None, mask: np.ndarray | None, kind: str
) -> None:
    made = case(b"broken" if image is None else encoded(image), None if mask is None else encoded(mask))
    with pytest.raises(UnfitCaseError, match=r"^[^\n]*; [^\n]*$") as caught:
        read_pair(made)
    assert caught.value.kind == kind


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_of_one_of_a_pair_is_named_as_the_cause_of_other_sizes(
    case: MakeCase, encoded: Encode, kind: str, orientation: int
) -> None:
    exif = turned(orientation)
    with pytest.raises(
        UnfitCaseError,
        match="mask 16x12, because EXIF orientation turns only the image",
    ):
        read_pair(case(encoded(PIXELS, kind, exif=exif), encoded(LESION, kind)))
    with pytest.raises(
        UnfitCaseError,
        match="mask 12x16, because EXIF orientation turns only the mask",
    ):
        read_pair(case(encoded(PIXELS, kind), encoded(LESION, kind, exif=exif)))
    read_pair(case(encoded(PIXELS, kind, exif=exif), encoded(LESION, kind, exif=exif)))


def test_other_sizes_without_exif_do_not_name_it(case: MakeCase, encoded: Encode) -> None:
    with pytest.raises(UnfitCaseError, match="mask 12x16; save the mask at the size of its image"):
        read_pair(case(encoded(PIXELS), encoded(np.ascontiguousarray(LESION.T))))
