import numpy as np
import pandas as pd

from mlffm_segdiff.study.ranking import rank_models
from mlffm_segdiff.study.report.figures.ranks import rank_figure


def test_the_diagram_names_each_model_with_its_rank_and_joins_what_does_not_differ() -> None:
    """Two are equal, one is far better on all 40 images: one bar, over only the two."""
    same = np.random.default_rng(0).random(40)
    swapped = same + np.where(np.arange(40) % 2, 0.01, -0.01)
    ranking = rank_models(pd.DataFrame({"a": same, "b": swapped, "best": same + 1}))
    (axes,) = rank_figure(ranking).axes
    assert sorted(text.get_text() for text in axes.texts) == ["(2.50) b", "a (2.50)", "best (1.00)"]
    bars = [line for line in axes.lines if line.get_linewidth() == 2]
    assert [sorted(bar.get_xdata().tolist()) for bar in bars] == [[2.5, 2.5]]
