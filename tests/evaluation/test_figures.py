from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mlffm_segdiff.evaluation.figures import (
    PREDICTED_COLOUR,
    TRUTH_COLOUR,
    OutlinedCase,
    contour_figure,
    histogram_figure,
    pick_cases,
    save_figure,
    size_figure,
)
from mlffm_segdiff.evaluation.rows import EvaluatedCase
from mlffm_segdiff.metrics.case_scores import score_case
from mlffm_segdiff.metrics.overlap import Mask


def rectangle(top: int, bottom: int, left: int, right: int) -> Mask:
    mask = np.zeros((20, 30), bool)
    mask[top:bottom, left:right] = True
    return mask


def evaluated(name: str, found: int) -> EvaluatedCase:
    truth = rectangle(0, 10, 0, 30)
    return EvaluatedCase(name, score_case(rectangle(0, found, 0, 30), truth))


def lines(figure: Figure, colour: str, panel: int = 0) -> list[np.ndarray]:
    return [np.asarray(line.get_xydata()) for line in figure.axes[panel].lines if line.get_color() == colour]


def test_a_panel_shows_both_contours_where_the_masks_end() -> None:
    case = OutlinedCase("a", rectangle(5, 15, 8, 20), rectangle(5, 15, 8, 14), 0.5)
    figure = contour_figure({"best": [case]})
    (truth,) = lines(figure, TRUTH_COLOUR)
    (predicted,) = lines(figure, PREDICTED_COLOUR)
    assert [*truth.min(axis=0), *truth.max(axis=0)] == [7.5, 4.5, 19.5, 14.5]
    assert [*predicted.min(axis=0), *predicted.max(axis=0)] == [7.5, 4.5, 13.5, 14.5]
    assert figure.axes[0].get_title() == "a\nJaccard 0.500, Dice 0.667"


def test_contours_are_closed_along_the_frame_and_around_holes() -> None:
    holed = np.ones((20, 30), bool)
    holed[8:12, 10:20] = False
    figure = contour_figure({"best": [OutlinedCase("a", holed, holed, 1.0)]})
    found = lines(figure, TRUTH_COLOUR)
    assert len(found) == 2
    assert all((contour[0] == contour[-1]).all() for contour in found)
    widest = max(found, key=lambda contour: np.ptp(contour[:, 0]))
    assert [*widest.min(axis=0), *widest.max(axis=0)] == [-0.5, -0.5, 29.5, 19.5]


def test_an_image_of_any_size_fills_the_frame_under_the_contours() -> None:
    pixels = np.zeros((10, 15, 3), np.uint8)
    case = OutlinedCase("a", rectangle(5, 15, 8, 20), rectangle(5, 15, 8, 14), 0.5, pixels)
    (shown,) = contour_figure({"worst": [case]}).axes[0].images
    assert tuple(shown.get_extent()) == (-0.5, 29.5, 19.5, -0.5)
    assert np.array_equal(shown.get_array(), pixels)


def test_an_empty_mask_has_no_contour() -> None:
    case = OutlinedCase("a", rectangle(5, 15, 8, 20), np.zeros((20, 30), bool), 0.0)
    figure = contour_figure({"worst": [case]})
    assert len(lines(figure, TRUTH_COLOUR)) == 1
    assert not lines(figure, PREDICTED_COLOUR)


def test_groups_are_rows_and_a_shorter_group_leaves_its_panels_blank(tmp_path: Path) -> None:
    case = OutlinedCase("$a_{$ " + "long" * 20, rectangle(5, 15, 8, 20), rectangle(5, 15, 8, 20), 1.0)
    figure = contour_figure({"best": [case, case], "median": [], "worst": [case]})
    assert [len(panel.lines) for panel in figure.axes] == [2, 2, 0, 0, 2, 0]
    assert len(figure.axes[0].get_title().splitlines()[0]) == 26
    save_figure(figure, tmp_path / "page.png")


def test_the_figure_has_the_lines_and_no_image(tmp_path: Path) -> None:
    case = OutlinedCase("a", rectangle(5, 15, 8, 20), rectangle(5, 15, 8, 14), 0.5)
    figure = contour_figure({"best": [case]})
    assert not any(panel.images for panel in figure.axes)
    save_figure(figure, tmp_path / "new" / "page.png")
    with Image.open(tmp_path / "new" / "page.png") as saved:
        pixels = np.asarray(saved.convert("RGB")).reshape(-1, 3)
    assert {(27, 120, 55), (214, 96, 77), (255, 255, 255)} <= {tuple(pixel) for pixel in pixels.tolist()}


def test_the_best_the_median_and_the_worst_are_picked() -> None:
    cases = [evaluated(f"c{found}", found) for found in (3, 9, 1, 7, 5, 2, 8, 4, 6)]
    picked = {name: [case.id for case in group] for name, group in pick_cases(cases, 2).items()}
    assert picked == {"best": ["c9", "c8"], "median": ["c6", "c5"], "worst": ["c2", "c1"]}
    picked = {name: [case.id for case in group] for name, group in pick_cases(cases, 1).items()}
    assert picked == {"best": ["c9"], "median": ["c5"], "worst": ["c1"]}


@pytest.mark.parametrize("count", range(1, 14))
def test_no_case_is_picked_twice(count: int) -> None:
    cases = [evaluated(f"c{index}", index % 5 + 1) for index in range(count)]
    picked = [case.id for group in pick_cases(cases, 4).values() for case in group]
    assert len(picked) == len(set(picked)) == min(count, 3 * max(1, min(4, count // 3)))


def test_the_histogram_counts_every_score_once(tmp_path: Path) -> None:
    figure = histogram_figure([0.0, 0.5, 0.51, 0.99, 1.0], "Jaccard")
    heights = [patch.get_height() for patch in figure.axes[0].patches]
    assert sum(heights) == 5
    assert (heights[0], heights[20], heights[-1]) == (1, 2, 2)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["mean 0.600", "median 0.510"]
    save_figure(figure, tmp_path / "histogram.svg")


def test_each_case_is_a_point_at_its_lesion_size_and_jaccard(tmp_path: Path) -> None:
    figure = size_figure([evaluated("a", 4), evaluated("b", 10)])
    assert np.asarray(figure.axes[0].collections[0].get_offsets()).tolist() == [[0.5, 0.4], [0.5, 1.0]]
    save_figure(figure, tmp_path / "sizes.png")
