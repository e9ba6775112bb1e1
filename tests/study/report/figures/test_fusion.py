import numpy as np
import pytest

from mlffm_segdiff.study.fusion_weights import FusionStep
from mlffm_segdiff.study.report.figures.fusion import (
    evenly,
    fusion_maps_figure,
    fusion_shares,
    fusion_shares_figure,
)

MASK = np.zeros((1, 32, 32), bool)
MASK[:, :16] = True


def step(time: int) -> FusionStep:
    """Into level 1, level 1 weighs 0.9 in the upper half and 0.2 below; into level 2, all alike."""
    share = np.where(np.arange(16)[:, None] < 8, 0.9, 0.2) * np.ones((1, 16))
    fine = np.stack([share, 1 - share])[None].astype(np.float32)
    return FusionStep(time, (fine, np.full((1, 2, 8, 8), 0.5, np.float32)))


def test_shares_are_means_inside_and_outside_the_lesion() -> None:
    found = fusion_shares([step(999), step(499)], MASK).set_index(["time", "level", "source", "place"])[
        "weight"
    ]
    assert len(found) == 2 * 2 * 2 * 3
    assert found[999, 1, 1, "inside"] == pytest.approx(0.9)
    assert found[499, 1, 1, "outside"] == pytest.approx(0.2)
    assert found[499, 1, 2, "outside"] == pytest.approx(0.8)
    assert found[999, 1, 1, "along the contour"] == pytest.approx(0.55)  # half of the band on each side
    assert found.xs(2, level="level").tolist() == pytest.approx([0.5] * 12)


def test_a_place_that_no_mask_has_is_unknown() -> None:
    found = fusion_shares([step(999)], np.zeros((1, 32, 32), bool))
    assert found[found["place"] != "outside"]["weight"].isna().all()


def test_maps_have_a_row_a_pair_of_levels_and_a_column_a_step() -> None:
    figure = fusion_maps_figure([step(999), step(499), step(0)], MASK[0])
    panels = [axes for axes in figure.axes if axes.get_ylabel() != "weight λ"]
    assert len(panels) == 4 * 3
    assert [panels[n].get_title() for n in range(3)] == ["t = 999", "t = 499", "t = 0"]
    assert [panels[3 * n].get_ylabel() for n in range(4)] == ["1 → 1", "2 → 1", "1 → 2", "2 → 2"]
    image = panels[0].images[0]
    assert image.get_array()[0, 0] == pytest.approx(0.9)
    assert image.get_clim() == pytest.approx((0.1, 0.9))
    contour = panels[0].lines[0].get_xydata()
    assert (contour[:, 1].min(), contour[:, 1].max()) == (0, 16)  # pixel edges of the upper half


def test_shares_are_drawn_by_level() -> None:
    figure = fusion_shares_figure(fusion_shares([step(999), step(499)], MASK))
    assert [axes.get_title() for axes in figure.axes] == ["into level 1", "into level 2"]
    assert all(len(axes.lines) == 2 * 3 + 1 for axes in figure.axes)
    assert figure.axes[0].xaxis_inverted()


def test_evenly_keeps_the_first_and_the_last() -> None:
    steps = [step(time) for time in range(50, 0, -1)]
    assert [one.time for one in evenly(steps)] == [50, 38, 26, 13, 1]
    assert evenly(steps[:2]) == steps[:2]
