import pandas as pd
import pytest

from mlffm_segdiff.study.report.figures.areas import area_table, bland_altman_figure


def rows(*counts: tuple[str, int, int, int, int]) -> pd.DataFrame:
    return pd.DataFrame(counts, columns=["id", "tp", "fp", "fn", "tn"])


def test_areas_are_shares_of_the_image_averaged_over_seeds() -> None:
    found = area_table(rows(("a", 10, 5, 10, 75), ("a", 20, 15, 0, 65), ("b", 0, 0, 50, 150)))
    assert found.loc["a"].tolist() == pytest.approx([20, 25])  # predicted 15 and 35 % of 100 pixels
    assert found.loc["b"].tolist() == pytest.approx([25, 0])


def test_the_lines_are_bias_and_limits_of_agreement() -> None:
    """Differences 1, 2, 3: mean 2, standard deviation 1."""
    table = pd.DataFrame({"true": [10.0, 20, 30], "predicted": [11.0, 22, 33]})
    figure = bland_altman_figure({"full": table})
    (panel,) = [axes for axes in figure.axes if axes.get_visible()]
    heights = [line.get_ydata()[0] for line in panel.lines]
    assert heights == pytest.approx([0, 2, 2 - 1.96, 2 + 1.96])
    assert panel.collections[0].get_offsets()[:, 0].tolist() == pytest.approx([10.5, 21, 31.5])
    assert panel.texts[0].get_text() == "bias +2.00, limits +0.0 to +4.0"


def test_each_variant_has_its_panel_and_one_image_is_enough() -> None:
    one = pd.DataFrame({"true": [10.0], "predicted": [12.0]})
    figure = bland_altman_figure(dict.fromkeys("abcd", one))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == list("abcd")
