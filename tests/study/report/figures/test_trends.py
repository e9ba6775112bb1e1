import numpy as np
import pandas as pd
import pytest

from mlffm_segdiff.study.report.figures.trends import binned_means, dataset_figure, trend_figure

NAMES = [f"c{n:02d}" for n in range(12)]
VALUES = pd.Series(np.arange(12.0), index=NAMES)
SCORES = pd.DataFrame({"full": np.arange(12) / 12, "less": np.arange(12) / 24}, index=NAMES)


def test_groups_hold_equally_many_images() -> None:
    middle, means = binned_means(VALUES, SCORES)
    assert middle.tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]
    assert means["full"].tolist() == pytest.approx(
        [0.5 / 12, 2.5 / 12, 4.5 / 12, 6.5 / 12, 8.5 / 12, 10.5 / 12]
    )


def test_order_ties_and_unknown_values_do_no_harm() -> None:
    shuffled = VALUES.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(binned_means(shuffled, SCORES)[1], binned_means(VALUES, SCORES)[1])
    unknown = VALUES.where(VALUES < 3)  # three images with a value
    middle, means = binned_means(unknown, SCORES)
    assert middle.tolist() == [0, 1, 2]
    assert means["less"].tolist() == pytest.approx([0, 1 / 24, 2 / 24])
    assert len(binned_means(VALUES * 0, SCORES)[0]) == 6


def test_the_panels_show_the_first_variant_and_what_the_others_differ() -> None:
    figure = trend_figure(VALUES, SCORES, "size")
    upper, lower = figure.axes
    assert len(upper.collections[0].get_offsets()) == 12
    assert upper.lines[0].get_ydata().tolist() == pytest.approx(
        binned_means(VALUES, SCORES)[1]["full"].tolist()
    )
    difference = lower.lines[-1].get_ydata()
    assert difference[-1] == pytest.approx(-10.5 / 24)
    assert len(trend_figure(VALUES, SCORES[["full"]], "size").axes) == 1


def test_data_sets_show_means_and_seeds() -> None:
    seeds = pd.DataFrame({"variant": ["full"] * 2, "dataset": ["ph2"] * 2, "jaccard": [0.4, 0.5]})
    figure = dataset_figure({"ph2": SCORES, "other": SCORES[["less"]]}, seeds, ["full", "less"])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["ph2", "other"]
    points = [line.get_ydata()[0] for line in axes.lines if line.get_marker() in ("o", "s")]
    assert points == pytest.approx([5.5 / 12, 5.5 / 24, 5.5 / 24])
    assert [0.4, 0.5] in [line.get_ydata().tolist() for line in axes.lines]
