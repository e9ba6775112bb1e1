import json

import pytest

from mlffm_segdiff.files.atomic import write_text
from mlffm_segdiff.study.report import read_results
from mlffm_segdiff.study.report.figures.curves import by_images, curves_figure
from mlffm_segdiff.study.score_frame import training_minutes
from mlffm_segdiff.study.study_folder import StudyFolder


def test_curves_run_over_images_with_the_range_of_seeds(finished: StudyFolder) -> None:
    cells = [one for one in read_results(finished.path).cells if one.cell.dataset == "lesions"]
    own = [one for one in cells if one.cell.variant == "full"]
    found = by_images(own, "loss")
    assert list(found) == [8, 16, 24, 32]  # batches of 4, two of them an epoch
    assert sorted(found[8]) == pytest.approx([1.0, 1.1, 1.2])
    figure = curves_figure(cells, ["full", "absent", "uniform weights"])
    loss, jaccard, by_minutes = figure.axes
    assert len(loss.lines) == len(jaccard.lines) == 2
    assert loss.lines[0].get_ydata()[0] == pytest.approx(1.1)
    band = loss.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.25, 1.2))
    assert jaccard.lines[0].get_ydata().tolist() == pytest.approx([0.5, 0.6, 0.7, 0.8])
    minutes = 90 / 60 / 16  # per image, as every finished.json here says
    assert by_minutes.lines[0].get_xdata() == pytest.approx(minutes * jaccard.lines[0].get_xdata())


def test_minutes_are_those_of_runs_without_interruption(copied: StudyFolder) -> None:
    cells = [one for one in read_results(copied.path).cells if one.cell.variant == "full"]
    for one, changes in zip(cells[:2], ({"training_seconds": 960.0}, {"resumed": True}), strict=True):
        write_text(one.folder.finished, json.dumps({**one.folder.account(), **changes}))
    assert training_minutes(cells[:2]) == 16
    by_images, _, by_minutes = curves_figure(cells[1:2], ["full"]).axes
    assert (len(by_images.lines), len(by_minutes.lines)) == (1, 0)
