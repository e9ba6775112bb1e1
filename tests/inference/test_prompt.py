import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.prompt import Prompt, PromptedImage
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.segmenters.network_output import Map, NetworkOutput

SIDE = 64


def prompted(prompt: Prompt, width: int = SIDE, height: int = SIDE) -> PromptedImage:
    pixels = np.indices((height, width)).sum(0)[..., None].repeat(3, 2).astype(np.uint8)
    small = np.zeros((SIDE, SIDE, 3), np.uint8)
    return PromptedImage(CaseImage(height, width, small, pixels, "a.png"), prompt)


def output(probability: Map) -> NetworkOutput:
    return NetworkOutput(probability, np.zeros_like(probability))


def flat(value: float) -> NetworkOutput:
    return output(np.full((SIDE, SIDE), value, np.float32))


def squares() -> Map:
    """Two squares of lesion: rows and columns 8 to 24 and 40 to 56."""
    found = np.full((SIDE, SIDE), 0.1, np.float32)
    found[8:24, 8:24] = found[40:56, 40:56] = 0.9
    return found


def mask(prompt: Prompt, *found: NetworkOutput) -> np.ndarray:
    return prompted(prompt).output(found, 0.5).probability >= 0.5


def test_without_a_prompt_the_output_is_the_networks() -> None:
    one = prompted(Prompt())
    found = flat(0.3)
    assert one.inputs == [one.image]
    assert one.output([found], 0.5) is found


def test_the_network_sees_the_crop_around_the_box() -> None:
    """The box is a quarter of each side of the image, and the crop 1.2 times as large."""
    whole, around = prompted(Prompt(box=(20, 10, 40, 20)), 80, 40).inputs
    assert whole.view is not None
    left, top, right, bottom = 18, 9, 42, 21
    assert around.network_input.shape == (SIDE, SIDE, 3)
    assert around.view is None
    ends = around.network_input[0, 0, 0], around.network_input[-1, -1, 0]
    assert ends == pytest.approx((left + top, right + bottom - 2), abs=1)


def test_where_the_network_is_undecided_the_mask_is_the_ellipse_in_the_box() -> None:
    left, top, right, bottom = 8, 16, 56, 48
    found = mask(Prompt(box=(left, top, right, bottom)), flat(0.5), flat(0.5))
    scale = len(found) / SIDE
    y, x = (np.indices(found.shape) + 0.5) / scale
    ellipse = ((x - 32) / 24) ** 2 + ((y - 32) / 16) ** 2 <= 1
    assert (found == ellipse).all()


def test_nothing_is_found_outside_the_box_and_the_network_decides_within() -> None:
    box = (8.0, 8.0, 56.0, 56.0)
    full, none = (mask(Prompt(box=box), flat(value), flat(value)) for value in (1.0, 0.0))
    rows = np.flatnonzero(full.any(1)) / len(full) * SIDE
    assert (rows.min(), rows.max()) == pytest.approx((8, 56), abs=1)
    middle = mask(Prompt(box=box), flat(0.5), flat(0.5))
    assert none.sum() < middle.sum() < full.sum()


@pytest.mark.parametrize("width", [2, 3, 8, 20])
@pytest.mark.parametrize("at", [0.0, 1996.0, 2001.0, 3970.0])
def test_a_box_smaller_than_a_cell_of_the_map_is_found(width: int, at: float) -> None:
    """Cells of the map are 15.6 pixels; the network saw no lesion in the image, and only it in the crop."""
    box = (at, at // 2, at + width, at // 2 + width)
    view = np.zeros((30, 40, 3), np.uint8)
    image = CaseImage(3000, 4000, np.zeros((SIDE, SIDE, 3), np.uint8), view, "a.png")
    found = PromptedImage(image, Prompt(box=box)).output([flat(0.0), flat(1.0)], 0.5)
    mask = found.probability_at(3000, 4000) >= 0.5
    rows, columns = slice(round(box[1]), round(box[3])), slice(round(box[0]), round(box[2]))
    assert mask[rows, columns].all()
    assert mask.sum() == mask[rows, columns].size


def test_no_pixel_outside_the_box_is_lesion() -> None:
    box = (300, 250, 500, 350)
    image = CaseImage(600, 800, np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((60, 80, 3), np.uint8), "a.png")
    found = PromptedImage(image, Prompt(box=box)).output([flat(1.0), flat(1.0)], 0.05)
    mask = found.probability_at(600, 800) >= 0.05
    assert mask[250:350, 300:500].any()
    mask[250:350, 300:500] = False
    assert not mask.any()


def test_a_point_on_the_lesion_may_be_outside_the_box() -> None:
    prompt = Prompt(box=(8, 8, 40, 40), points=[(50, 50, 1), (20, 20, 1)])
    found = prompted(prompt).output([flat(0.5), flat(0.5)], 0.5).probability_at(SIDE, SIDE) >= 0.5
    assert found[50, 50]
    assert found[20, 20]


def test_points_on_the_lesion_select_components() -> None:
    found = mask(Prompt(points=[(10, 10, 1)]), output(squares()))
    assert found[8:24, 8:24].all()
    assert found.sum() == 16 * 16


def test_points_off_the_lesion_remove_components() -> None:
    found = mask(Prompt(points=[(50, 50, 0)]), output(squares()))
    assert found[8:24, 8:24].all()
    assert found.sum() == 16 * 16


def test_points_on_the_wrong_side_change_the_mask_near_them_only() -> None:
    probability = squares()
    both = [(10, 10, 1), (16, 23, 0)]
    cut = mask(Prompt(points=both), output(probability))
    added = mask(Prompt(points=[(10, 10, 1), (50, 50, 1), (25, 16, 1)]), output(probability))
    before = probability >= 0.5
    before[40:, 40:] = False
    assert not cut[23, 16]
    assert 0 < (before & ~cut).sum() <= np.pi * 4**2
    assert added[16, 25]
    assert 0 < (added & ~(probability >= 0.5)).sum() <= np.pi * 4**2


@given(
    lesion=st.lists(st.tuples(st.integers(8, 23), st.integers(8, 23)), min_size=1, max_size=4),
    other=st.lists(st.tuples(st.integers(0, 63), st.integers(0, 63)), max_size=4),
)
def test_points_on_the_lesion_are_in_the_mask_however_near_others_are(
    lesion: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    points = [(x, y, 1) for x, y in lesion] + [(x, y, 0) for x, y in other]
    found = mask(Prompt(points=points), output(squares()))
    assert all(found[y, x] for x, y in lesion)
    apart = [(x, y) for x, y in other if min(abs(x - u) + abs(y - v) for u, v in lesion) > 3]
    assert not any(found[y, x] for x, y in apart)


def test_the_features_of_the_image_are_kept_for_the_outlier_detector() -> None:
    features = np.arange(4, dtype=np.float32)
    found = [
        NetworkOutput(squares(), np.zeros_like(squares()), features=one) for one in (features, -features)
    ]
    for prompt in (Prompt(points=[(10, 10, 1)]), Prompt(box=(4, 4, 60, 60))):
        assert prompted(prompt).output(found, 0.5).features is features


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt(box=(0, 0, 65, 10)), "a.png: the box 0,0,65,10 is not within the image of 64x64 pixels"),
        (Prompt(box=(10, 10, 9, 20)), "less than a pixel wide or high"),
        (Prompt(box=(10, 10, 10.5, 20)), r"less than a pixel wide or high; give .* x1 >= x0 \+ 1"),
        (Prompt(box=(1, 2, 3)), r"the box \(1, 2, 3\) is not four numbers"),
        (Prompt(box="1234"), "the box '1234' is not four numbers"),
        (Prompt(box=(0.1, 0.1, 0.9, 0.9)), "within one pixel; give pixels, not shares"),
        (Prompt(points=(10, 20, 1)), "the point 10 is not three numbers; give x, y, label"),
        (Prompt(box=(float("nan"), 10, 10, 20)), "is not within .* x0 < x1"),
        (Prompt(points=[(64, 0, 1)]), "the point 64,0,1 is not within the image"),
        (Prompt(points=[(1, 1, 2)]), "label"),
        (Prompt(points=[(1, 1, 1)] * 65), "65 points are too many"),
    ],
)
def test_a_prompt_outside_the_image_is_refused(prompt: Prompt, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prompted(prompt)
