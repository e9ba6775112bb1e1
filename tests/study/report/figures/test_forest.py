import pytest

from mlffm_segdiff.metrics.intervals import Interval
from mlffm_segdiff.study.differences import Difference
from mlffm_segdiff.study.report.comparisons import Comparison
from mlffm_segdiff.study.report.figures.forest import OTHER, SIGNIFICANT, forest_figure


def comparison(label: str, dataset: str, mean: float, corrected: float, other: str = "full") -> Comparison:
    result = Difference(30, Interval(mean, mean - 0.01, mean + 0.01), corrected, 0.5)
    return Comparison(label, other, "full", dataset, result, [mean - 0.02, mean + 0.02], corrected)


def test_each_data_set_has_a_panel_and_each_variant_a_row() -> None:
    found = [
        comparison("a", "ph2", 0.1, 0.01),
        comparison("b", "ph2", -0.1, 0.5),
        comparison("b", "isic2018", 0.3, 0.049),
    ]
    figure = forest_figure(found, "Jaccard")
    ph2, isic = figure.axes
    assert [ph2.get_title(), isic.get_title()] == ["ph2", "isic2018"]
    assert [text.get_text() for text in ph2.get_yticklabels()] == ["a", "b"]
    points = [line for line in ph2.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in points] == [0.1, -0.1]
    assert [line.get_markerfacecolor() for line in points] == [SIGNIFICANT, OTHER]
    (point,) = [line for line in isic.lines if line.get_marker() == "o"]
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (0.3, 1)
    (ticks,) = [line for line in isic.lines if line.get_marker() == "|"]
    assert ticks.get_xdata() == pytest.approx([0.28, 0.32])


def test_rows_name_what_they_are_against_unless_it_is_the_baseline() -> None:
    figure = forest_figure([comparison("a", "ph2", 0.1, 1), comparison("b", "ph2", 0.1, 1, "a")], "Jaccard")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a vs full", "b vs a"]
    figure = forest_figure(
        [comparison("b", "ph2", 0.1, 1, "a"), comparison("c", "ph2", 0.1, 1, "a")], "Jaccard"
    )
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["b vs a", "c vs a"]
