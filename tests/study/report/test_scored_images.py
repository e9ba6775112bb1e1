import json

import numpy as np
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.evaluation.model import evaluate_case, segment_cases
from mlffm_segdiff.study.report import read_results
from mlffm_segdiff.study.report.scored_images import load_cell, open_images, outline
from mlffm_segdiff.study.study_folder import StudyFolder


def test_the_images_are_those_that_were_scored_and_a_choice_keeps_its_order(finished: StudyFolder) -> None:
    study = read_results(finished.path)
    images = open_images(study.cells[0].cell, study.plan.part)
    assert sorted(images.pairs.ids) == sorted(set(study.main_rows().query("dataset == 'lesions'")["id"]))
    chosen = images.select(images.pairs.ids[3:1:-1])
    assert [case.id for case in chosen.cases] == list(images.pairs.ids[3:1:-1])
    np.testing.assert_array_equal(chosen.pairs.images[0], images.pairs.images[3])
    with pytest.raises(UserError, match="x was scored but is no longer in the data"):
        images.select(["x"])


def test_contours_are_of_the_masks_that_an_evaluation_scores(finished: StudyFolder) -> None:
    study = read_results(finished.path)
    one = study.cells[0]
    images = open_images(one.cell, study.plan.part)
    images = images.select(images.pairs.ids[:2])
    overrides = ["sampling.steps=2"]
    segmenter, sampling = load_cell(one, overrides)
    assert sampling.steps == 2
    device = next(segmenter.parameters()).device
    segmented = segment_cases(segmenter, images.pairs, images.cases, sampling, 2, device)
    expected = [evaluate_case(case).source.jaccard for case in segmented]
    assert [case.jaccard for case in outline(one, overrides, images)] == pytest.approx(expected)


def test_weights_of_a_variant_that_names_code_by_target_are_loaded(copied: StudyFolder) -> None:
    one = read_results(copied.path).cells[0]
    path = one.folder.run.weights / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["recipe"]["loss"] = {"target": "torch.nn.functional.binary_cross_entropy_with_logits"}
    path.write_text(json.dumps(config), encoding="utf-8")
    segmenter, _ = load_cell(one, ["sampling.steps=2"])
    assert not segmenter.training


def test_a_changed_split_is_a_user_error(finished: StudyFolder) -> None:
    cell = read_results(finished.path).cells[0].cell
    other = type(cell)(**{**vars(cell), "split": "other"})
    with pytest.raises(UserError, match=r"the split of lesions is .* now, but was other"):
        open_images(other, "test")
