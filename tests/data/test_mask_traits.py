import numpy as np

from mlffm_segdiff.data.mask_traits import MaskTraits, all_empty, all_full, perhaps_inverted

SPOT = np.zeros((6, 8), np.uint8)
SPOT[2:4, 3:6] = 1
CORNER = np.zeros((6, 8), np.uint8)
CORNER[0, 0] = 1


def traits(*masks: np.ndarray) -> list[MaskTraits]:
    return [MaskTraits.of(mask) for mask in masks]


def test_traits_of_one_mask() -> None:
    assert traits(SPOT, 1 - SPOT, 0 * SPOT, 0 * SPOT + 1, CORNER) == [
        MaskTraits(empty=False, full=False, corners=False),
        MaskTraits(empty=False, full=False, corners=True),
        MaskTraits(empty=True, full=False, corners=False),
        MaskTraits(empty=False, full=True, corners=True),
        MaskTraits(empty=False, full=False, corners=False),
    ]


def test_masks_are_all_empty_or_full_only_if_there_are_some() -> None:
    assert all_full(traits(0 * SPOT + 1, 0 * SPOT + 1))
    assert not all_full(traits(0 * SPOT + 1, SPOT))
    assert not all_full([])
    assert all_empty(traits(0 * SPOT, 0 * SPOT))
    assert not all_empty(traits(0 * SPOT, SPOT))
    assert not all_empty([])


def test_masks_are_perhaps_inverted_if_nearly_all_hold_the_corners() -> None:
    assert perhaps_inverted(traits(1 - SPOT, 1 - SPOT))
    assert perhaps_inverted(traits(*[1 - SPOT] * 9, SPOT))
    assert perhaps_inverted(traits(1 - SPOT, 1 - SPOT, 0 * SPOT, 0 * SPOT + 1))
    assert not perhaps_inverted(traits(*[1 - SPOT] * 8, SPOT, SPOT))
    assert not perhaps_inverted(traits(1 - SPOT))
    assert not perhaps_inverted(traits(*[0 * SPOT + 1] * 5, SPOT, SPOT))
